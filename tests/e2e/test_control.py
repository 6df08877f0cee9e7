"""Keys and limits of a real server with two gateway workers."""

from __future__ import annotations

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from tritonclient import grpc as triton
from tritonclient.utils import InferenceServerException

from scripts.keys import main as keys
from services.gateway.control.keys_file import FileKeys
from tests.e2e.server import PROJECT, Server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BODY = {
    "model": "iris",
    "rows": [{"sepal_length": 5, "sepal_width": 3, "petal_length": 1.4, "petal_width": 0.2}],
}


@pytest.fixture(scope="module")
def key_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("keys") / "keys.json"


@pytest.fixture(scope="module")
def guarded(home: Path, key_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Two gateway workers over one Classifier, each caller limited to fifty requests a minute."""
    env = {
        "TANDEM_LLM__MODEL": "/nonexistent",
        "TANDEM_GATEWAY__WORKERS": "2",
        "TANDEM_KEYS__FILE": str(key_file),
        "TANDEM_LIMITS__CALLER__REQUESTS_PER_MINUTE": "50",
    }
    server = Server("service:Gateway", PROJECT, home, tmp_path_factory.mktemp("log") / "server.log", env)
    try:
        server.wait_for(lambda: server.get_json("/livez"), 60)
        server.wait_for(lambda: all(_classifier_ready(server) for _ in range(12)), 60)
        yield server
    finally:
        server.stop()


def _classifier_ready(server: Server) -> bool:
    """As seen by the worker that happens to take a new connection."""
    dependencies = httpx.get(f"{server.url}/readyz").json()["dependencies"]
    return bool(dependencies["classifier"]["state"] == "ready")


def make(key_file: Path, capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The secret of a new key."""
    assert keys(["create", *arguments], FileKeys(key_file)) == 0
    return capsys.readouterr().out.strip()


def status(server: Server, secret: str) -> int:
    """Of a prediction on a connection of its own, which either worker may take."""
    headers = {"authorization": f"Bearer {secret}"}
    return httpx.post(f"{server.url}/classify", json=BODY, headers=headers, timeout=60).status_code


def _counted(server: Server, secret: str) -> tuple[int, int, int]:
    """Predictions that all workers together have answered, and refused (as the limiter says, and as clients see it); whichever
    worker is asked answers for all.
    """
    answer = httpx.get(f"{server.url}/metrics", headers={"x-api-key": secret}, timeout=60)
    samples = {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }
    return (
        int(samples["tandem_requests_total", "/classify", "200"]),
        int(samples["tandem_limiter_decisions_total", "refused", "requests", "caller"]),
        int(samples["tandem_request_errors_total", "rate_limit_exceeded", "/classify"]),
    )


def test_keys_and_limits_hold_over_all_workers(
    guarded: Server, key_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status(guarded, "nobody") == 200
    busy, other = make(key_file, capsys, "busy"), make(key_file, capsys, "other", "--requests-per-minute", "100000")
    time.sleep(1)
    began = time.monotonic()
    with ThreadPoolExecutor(16) as pool:
        seen = Counter(pool.map(lambda _: status(guarded, busy), range(200)))
    ended = time.monotonic()  # the ledger's own clock
    # A minute that begins meanwhile lets the window slide on.
    slid = 1 + 50 * (ended % 60) / 60 if began // 60 != ended // 60 else 0
    assert 50 <= seen[200] <= 50 + slid
    assert seen[429] == 200 - seen[200]
    assert status(guarded, other) == 200
    with triton.InferenceServerClient(f"127.0.0.1:{guarded.grpc_port}") as client:
        with pytest.raises(InferenceServerException, match="UNAUTHENTICATED"):
            client.get_model_metadata("iris")
        assert client.get_model_metadata("iris", headers={"x-api-key": other}).name == "iris"
    assert status(guarded, other) == 200
    ops = make(key_file, capsys, "ops", "--scope", "admin", "--requests-per-minute", "100000")
    time.sleep(1)
    expected = (seen[200] + 3, seen[429], seen[429])
    guarded.wait_for(lambda: _counted(guarded, ops) == expected, 20)
    assert {_counted(guarded, ops) for _ in range(8)} == {expected}
    assert httpx.get(f"{guarded.url}/metrics", headers={"x-api-key": other}).status_code == 403
    assert keys(["revoke", "other"], FileKeys(key_file)) == 0
    time.sleep(1)
    assert {status(guarded, other) for _ in range(16)} == {401}
