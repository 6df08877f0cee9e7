from __future__ import annotations

import itertools
import shutil
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from scripts.bench import h2load, messages
from scripts.bench.catalogue import PEERS_BY_NAME
from scripts.bench.environments import Unavailable

if TYPE_CHECKING:
    from pathlib import Path

OUTPUT = """finished in 500.00ms, 20.00 req/s, 3.06KB/s
requests: 12 total, 12 started, 10 done, 10 succeeded, 2 failed, 2 errored, 0 timeout
status codes: 10 2xx, 0 3xx, 0 4xx, 0 5xx
traffic: 2.42KB (2539) total, 48B (48) headers (space savings 95.90%), 1.56KB (240) data
"""
LOG = "".join(f"1500000\t200\t{1000 * index}\n" for index in range(1, 11))


def test_its_output_and_log_become_figures() -> None:
    outcome = h2load.parse(OUTPUT, LOG, 12, 30, 0.25)
    assert (outcome.per_second, outcome.p50, outcome.p99, outcome.longest) == (20.0, 5.0, 10.0, 10.0)
    assert outcome.socket_errors == 2
    assert outcome.errors == 2, "ten answers of 30 bytes are 300 bytes; 240 came"


@pytest.mark.parametrize("output", ["", OUTPUT.replace("data\n", "")])
def test_what_cannot_be_read_is_no_figure(output: str) -> None:
    with pytest.raises(RuntimeError, match="nothing that can be read"):
        h2load.parse(output, LOG, 12, 30, 0.0)


def test_a_missing_h2load_is_said_plainly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    peer = PEERS_BY_NAME["tandem-grpc"]
    with pytest.raises(Unavailable, match="apt-get install nghttp2-client"):
        peer.prepare(peer)


@pytest.mark.skipif(shutil.which("h2load") is None, reason="h2load is not installed")
def test_failures_that_http_calls_200_are_counted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("scripts.bench.messages.WORK", tmp_path)
    body = messages.iris("grpc", 1)
    count = itertools.count(1)

    def answer(request: bytes, context: Any) -> bytes:
        assert request == body.content[messages.PREFIX :]
        if next(count) % 4 == 0:
            context.abort(grpc.StatusCode.INTERNAL, "One in four.")
        return b"setosa"

    server = grpc.server(ThreadPoolExecutor(2))
    handlers: Any = {"ModelInfer": grpc.unary_unary_rpc_method_handler(answer)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("inference.GRPCInferenceService", handlers),))
    url = f"http://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}/inference.GRPCInferenceService/ModelInfer"
    server.start()
    try:
        assert messages.answers_iris(url, "grpc")
        outcome = h2load.ready(url, body, "one-in-four", 2, 0.3)()
    finally:
        server.stop(None).wait()
    assert outcome.requests > 0
    assert abs(outcome.errors - outcome.requests / 4) <= 1
    assert not messages.answers_iris(url, "grpc")
