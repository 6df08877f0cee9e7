"""The built bento, served from a folder that has nothing of the project, and how it stops."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import numpy as np
import psutil
import pytest
from tritonclient import grpc as triton
from tritonclient.utils import InferenceServerException

from tests.e2e.rows import IRIS
from tests.e2e.server import PROJECT, Server

if TYPE_CHECKING:
    from collections.abc import Iterator

CHAT = {"model": "tandem-mini", "messages": [{"role": "user", "content": "What is Tandem?"}], "max_tokens": 40}


@pytest.fixture(scope="module")
def bento(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """`bentoml serve tandem:latest` of a fresh build."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # BentoML looks for uv there
    environment = {**os.environ, "BENTOML_HOME": str(home), "PATH": path, "BENTOML_DO_NOT_TRACK": "true"}
    subprocess.run([sys.executable, "-m", "bentoml", "build"], cwd=PROJECT, check=True, env=environment)
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    running = Server(
        "tandem:latest", elsewhere, home, tmp_path_factory.mktemp("bento") / "server.log", {"TANDEM_DRAIN__DELAY": "1"}
    )
    try:
        running.wait_ready()
        yield running
    finally:
        running.stop()


def test_the_bento_ships_what_is_served_and_nothing_else(bento: Server, home: Path) -> None:
    latest = (home / "bentos" / "tandem" / "latest").read_text().strip()
    source = home / "bentos" / "tandem" / latest / "src"
    shipped = {path.name for path in source.iterdir()}
    assert {"service.py", "services", "models"} <= shipped
    assert not shipped & {"tests", ".venv", ".git", ".tandem", "docs"}
    scripts = {path.stem for path in (source / "scripts").iterdir()} - {"__init__"}
    assert scripts == {"container", "serve", "preflight", "keys", "models"}


def test_both_kinds_of_model_answer(bento: Server) -> None:
    prediction = bento.http.post("/classify", json={"model": "iris", "rows": [IRIS]}).json()["predictions"][0]
    assert prediction["label"] == "setosa"
    chat = bento.http.post("/v1/chat/completions", json=CHAT)
    assert chat.status_code == 200
    assert chat.json()["choices"][0]["message"]["content"]
    assert bento.http.post("/explain", json={"model": "iris", "row": IRIS}).json()["explanation"]


class Load:
    """Clients of every protocol that ask again and again, and what they hear: a 200 that is whole, a refusal, or a
    connection that nobody took.
    """

    def __init__(self, server: Server) -> None:
        self._server = server
        self._over = threading.Event()
        self.heard: dict[str, list[str]] = {}
        self.streaming = threading.Semaphore(0)
        """Released once for each stream that has begun."""

    def predict(self, name: str) -> None:
        with httpx.Client(base_url=self._server.url, timeout=60) as client:
            while not self._over.is_set():
                try:
                    answer = client.post("/classify", json={"model": "iris", "rows": [IRIS]})
                except httpx.TransportError:
                    self._hear(name, "lost")
                    continue
                if answer.status_code == 200:
                    assert answer.json()["predictions"][0]["label"] == "setosa"
                else:
                    assert int(answer.headers["retry-after"]) >= 1
                    assert answer.headers["connection"] == "close"
                self._hear(name, str(answer.status_code))

    def infer(self, name: str) -> None:
        rows = triton.InferInput("features", [1, 4], "FP32").set_data_from_numpy(np.array([[5.1, 3.5, 1.4, 0.2]], "f4"))
        with triton.InferenceServerClient(f"127.0.0.1:{self._server.grpc_port}") as client:
            while not self._over.is_set():
                try:
                    assert client.infer("iris", [rows]).as_numpy("label")[0] == b"setosa"
                except InferenceServerException as error:
                    self._hear(name, str(error.status()))
                else:
                    self._hear(name, "200")

    def stream(self, name: str) -> None:
        body = {**CHAT, "stream": True, "ignore_eos": True, "max_tokens": 400}
        with httpx.stream("POST", f"{self._server.url}/v1/chat/completions", json=body, timeout=60) as response:
            lines: list[str] = []
            for line in response.iter_lines():
                if not lines:
                    self.streaming.release()
                lines.append(line)
        whole = response.status_code == 200 and "data: [DONE]" in lines
        self._hear(name, "200" if whole else lines[-1])

    def end(self) -> None:
        """Ask no more."""
        self._over.set()

    def _hear(self, name: str, what: str) -> None:
        self.heard.setdefault(name, []).append(what)


def test_sigterm_under_load_loses_nothing_that_was_accepted(bento: Server) -> None:
    """Runs last in this module: it stops the server."""
    processes = bento.processes()
    load = Load(bento)
    kinds = [*[load.predict] * 2, *[load.infer] * 2, *[load.stream] * 4]
    with ThreadPoolExecutor(len(kinds)) as pool:
        running = [pool.submit(kind, f"{kind.__name__} {number}") for number, kind in enumerate(kinds)]
        try:
            assert all(load.streaming.acquire(timeout=60) for _ in range(4))
            assert bento.http.get("/readyz").status_code == 200
            bento.terminate()
            bento.wait_for(lambda: httpx.get(f"{bento.url}/readyz").status_code == 503, 0.9)
            assert bento.wait_stopped(60) == 0
        finally:
            load.end()
        for one in running:
            one.result(60)
    for name, heard in load.heard.items():
        kind = name.split()[0]
        accepted = heard.count("200")
        assert heard[:accepted] == ["200"] * accepted, "nothing is accepted after the first refusal"
        assert accepted
        if kind == "predict":
            assert heard[accepted] == "503", "it is refused before nobody listens"
            assert set(heard[accepted:]) <= {"503", "lost"}
        elif kind == "infer":
            assert set(heard[accepted:]) == {"StatusCode.UNAVAILABLE"}
        else:
            assert heard == ["200"]
    _, alive = psutil.wait_procs(processes, timeout=10)
    assert alive == []
    assert "Traceback" not in bento.log.read_text(errors="replace")
