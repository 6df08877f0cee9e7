"""The built bento, served from a folder that has nothing of the project, and how it stops."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import psutil
import pytest

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
    running = Server("tandem:latest", elsewhere, home, tmp_path_factory.mktemp("bento") / "server.log")
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


def test_sigterm_finishes_what_was_accepted(bento: Server) -> None:
    """Runs last in this module: it stops the server."""
    processes = bento.processes()
    outcome: list[str] = []
    begun = threading.Event()

    def stream() -> None:
        body = {**CHAT, "stream": True, "ignore_eos": True, "max_tokens": 400}
        with httpx.stream("POST", f"{bento.url}/v1/chat/completions", json=body, timeout=60) as response:
            for line in response.iter_lines():
                outcome.append(line)
                begun.set()

    streaming = threading.Thread(target=stream)
    streaming.start()
    assert begun.wait(20)
    began = time.monotonic()
    bento.terminate()
    assert bento.wait_stopped() == 0
    assert time.monotonic() - began < 30
    streaming.join(10)
    assert "data: [DONE]" in outcome
    _, alive = psutil.wait_procs(processes, timeout=10)
    assert alive == []
    assert "Traceback" not in bento.log.read_text(errors="replace")
