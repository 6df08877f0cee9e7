"""Models of one's own, with real processes: the page of documentation as it stands, and changes under load."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import time
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np
import pytest

from models import store
from models.engines import linear
from tests.e2e.server import PROJECT, Server
from tests.fakes import make_spec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from models.spec import ModelSpec

PAGE = (PROJECT / "docs" / "models.md").read_text()
BLOCKS = re.findall(r"<!-- run -->\n```(\w+)\n(.*?)```", PAGE, re.DOTALL)
SAYS = ("", "stored wine:", "", '"label":"class_0"', "", '"data":[2,3,4,5', '"name":"wine"')
"""What each block of the page must print, in order; an empty text where it need not print anything."""
SWAPS = 20
ROWS = {"model": "toy", "rows": [{"height": 3, "width": 1, "age": 2}]}


def put(home: Path, number: int, *, broken: bool = False) -> ModelSpec:
    """Store version `number` of the model `toy`."""
    spec = make_spec("toy").model_copy(
        update={"engine": "linear", "trained_at": make_spec().trained_at + timedelta(days=number)}
    )

    def write(folder: Path) -> None:
        linear.write(folder, np.array([[0, 0, 0], [number / 10, 0, 0]]), np.zeros(2), np.zeros(3))
        if broken:
            (folder / linear.WEIGHTS_FILE).write_text("{}")

    return store.save(spec, write, folder=home / "models")


@pytest.fixture(scope="module")
def own_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    put(home, 0)
    return home


@pytest.fixture(scope="module")
def own_server(own_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server without a language model, with two processes of each kind."""
    env = {
        "TANDEM_LLM__MODEL": str(own_home / "nothing"),
        "TANDEM_GATEWAY__WORKERS": "2",
        "TANDEM_CLASSIFIER__WORKERS": "2",
    }
    server = Server("service:Gateway", PROJECT, own_home, tmp_path_factory.mktemp("log") / "server.log", env)
    try:
        server.wait_for(lambda: server.get_json("/health").get("classifier", {}).get("models"), 240)
        yield server
    finally:
        server.stop()


def everywhere(server: Server, ask: str = "/classify", body: Any = None) -> set[str]:
    """What each gateway process answers, over connections that are new each time."""
    answers = set()
    for _ in range(12):
        answer = httpx.post(f"{server.url}{ask}", json=body or ROWS, verify=False)
        answers.add(answer.json().get("version", str(answer.status_code)))
    return answers


async def test_not_one_request_fails_during_swaps_under_load(own_server: Server, own_home: Path) -> None:
    seen: Counter[str] = Counter()
    failures: list[str] = []
    stop = asyncio.Event()
    infer = {"inputs": [{"name": "features", "datatype": "FP32", "shape": [1, 3], "data": [3, 1, 2]}]}

    async def ask(client: httpx.AsyncClient, path: str, body: Any, version: str) -> None:
        while not stop.is_set():
            answer = await client.post(path, json=body)
            if answer.status_code == 200:
                seen[answer.json()[version]] += 1
            else:
                failures.append(answer.text)

    async with httpx.AsyncClient(base_url=own_server.url, timeout=60) as client:
        asking = [asyncio.create_task(ask(client, "/classify", ROWS, "version")) for _ in range(8)]
        asking += [asyncio.create_task(ask(client, "/v2/models/toy/infer", infer, "model_version")) for _ in range(4)]
        newest = ""
        for number in range(1, SWAPS + 1):
            newest = put(own_home, number).version
            answer = await client.post("/v2/repository/models/toy/load")
            assert answer.status_code == 200, answer.text
        stop.set()
        await asyncio.gather(*asking)
    assert failures == []
    assert len(seen) > SWAPS / 2
    await asyncio.sleep(1)
    assert everywhere(own_server) == {newest}


def test_all_views_of_what_is_served_agree(own_server: Server, own_home: Path) -> None:
    newest, _ = store.find("toy", folder=own_home / "models")
    index = own_server.http.post("/v2/repository/index").json()
    assert [one["version"] for one in index if one["state"] == "READY"] == [newest.version]
    assert len(index) > 1
    assert own_server.get_json("/health")["classifier"]["models"] == {"toy": newest.version}
    served = f'tandem_model_info{{framework="{newest.framework}",model="toy",version="{newest.version}"}} 1.0'
    metrics = own_server.http.get("/metrics").text
    assert served in metrics
    assert metrics.count('model="toy",version="') == 1


def test_a_broken_version_changes_nothing_and_says_why(own_server: Server, own_home: Path) -> None:
    [before] = everywhere(own_server)
    broken = put(own_home, 100, broken=True)
    answer = own_server.http.post("/v2/repository/models/toy/load")
    assert answer.status_code == 400
    assert f"toy:{broken.version} cannot be loaded" in answer.json()["error"]
    assert everywhere(own_server) == {before}
    store.remove("toy", broken.version, folder=own_home / "models")


def test_a_version_beside_the_default_and_unload(own_server: Server, own_home: Path) -> None:
    [newest] = everywhere(own_server)
    old = store.list_specs(all_versions=True, folder=own_home / "models")[-1].version
    load = own_server.http.post("/v2/repository/models/toy/load", json={"parameters": {"version": old}})
    assert load.status_code == 200, load.text
    time.sleep(1)
    assert everywhere(own_server) == {newest}
    assert everywhere(own_server, body={**ROWS, "version": old}) == {old}
    assert own_server.http.get(f"/v2/models/toy/versions/{old}/ready").status_code == 200
    assert own_server.http.post("/v2/repository/models/toy/unload").status_code == 200
    time.sleep(1)
    assert everywhere(own_server) == {"404"}
    assert own_server.http.post("/v2/repository/models/toy/unload").status_code == 404
    assert own_server.http.post("/v2/repository/models/toy/load").status_code == 200


def test_a_worker_that_dies_comes_back_with_what_is_served(own_server: Server, own_home: Path) -> None:
    newest = put(own_home, 200).version
    assert own_server.http.post("/v2/repository/models/toy/load").status_code == 200
    own_server.worker("Classifier").kill()
    time.sleep(1)
    own_server.wait_for(lambda: everywhere(own_server) == {newest}, 60)


def test_every_marked_block_of_the_page_is_executed_here() -> None:
    assert PAGE.count("<!-- run -->") == len(BLOCKS) == len(SAYS)


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_block_of_the_page_runs_as_it_stands(own_server: Server, own_home: Path, tmp_path: Path, number: int) -> None:
    language, block = BLOCKS[number]
    program = {"bash": ["bash", "-euo", "pipefail", "-c"], "python": [sys.executable, "-c"]}[language]
    graph = str(tmp_path.parent / "add_sub.onnx")
    text = block.replace("http://127.0.0.1:3000", own_server.url).replace("add_sub.onnx", graph)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    answer = subprocess.run(
        [*program, text],
        cwd=PROJECT,
        env={**os.environ, "PATH": path, "BENTOML_HOME": str(own_home), "PYTHONWARNINGS": "error"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    assert SAYS[number] in answer.stdout.replace(": ", ":").replace(", ", ",") or SAYS[number] in answer.stdout
