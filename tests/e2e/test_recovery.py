"""What clients see when a dependency dies, and that it comes back without a person."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import threading
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

import httpx
import psutil
import pytest

from tests.e2e.rows import CLASSIFY, IRIS

if TYPE_CHECKING:
    from tests.e2e.server import Server

DEAF = 24
CHAT = {"model": "tandem-mini", "messages": [{"role": "user", "content": "What is Tandem?"}], "max_tokens": 200}


def test_a_killed_classifier_is_answered_for_and_comes_back(server: Server) -> None:
    server.wait_ready()
    server.worker("Classifier").kill()
    statuses: list[int] = []
    slowest = 0.0

    def served_again() -> bool:
        nonlocal slowest
        began = time.monotonic()
        answer = server.http.post("/classify", json=CLASSIFY)
        slowest = max(slowest, time.monotonic() - began)
        statuses.append(answer.status_code)
        if answer.status_code == 503:
            assert int(answer.headers["retry-after"]) >= 1
            assert "Classifier" in answer.json()["error"]
        return answer.status_code == 200

    server.wait_for(served_again, 60)
    assert statuses[0] == 503
    assert set(statuses) <= {200, 503}
    assert slowest < 3
    server.wait_ready(30)


def test_readiness_names_what_is_missing_within_a_second(server: Server) -> None:
    server.wait_ready()
    server.worker("Classifier").send_signal(signal.SIGSTOP)
    stopped = server.worker("Classifier")
    try:
        began = time.monotonic()
        answer = server.http.get("/readyz")
        assert time.monotonic() - began < 1
        assert answer.status_code == 503
        body = answer.json()
        assert body["ready"] is False
        assert body["dependencies"]["classifier"]["reason"]
        assert body["dependencies"]["llm"]["state"] == "ready"
        assert server.http.get("/livez").status_code == 200
    finally:
        stopped.send_signal(signal.SIGCONT)
    server.wait_ready(30)


def _explain_without_llm(server: Server) -> None:
    answer = server.http.post("/explain", json={"model": "iris", "row": IRIS})
    assert answer.status_code == 200
    body = answer.json()
    assert body["explanation"] is None
    assert "language model" in body["reason"]
    assert body["prediction"]["label"] == "setosa"
    assert len(body["attributions"]) == 4


@pytest.mark.parametrize("victim", ["engine", "worker"])
def test_a_killed_llm_is_answered_for_and_comes_back(server: Server, victim: str) -> None:
    server.wait_ready()
    worker = server.worker("LLM")
    engines = [child for child in worker.children(recursive=True) if "EngineCore" in " ".join(child.cmdline())]
    assert engines
    assert server.metric("vllm:num_requests_running") == 0
    outcome: list[tuple[int, bytes] | httpx.HTTPError] = []

    def long_stream() -> None:
        body = {**CHAT, "stream": True, "ignore_eos": True, "max_tokens": 950}
        try:
            with httpx.stream("POST", f"{server.url}/v1/chat/completions", json=body, timeout=30) as response:
                outcome.append((response.status_code, response.read()))
        except httpx.HTTPError as error:
            outcome.append(error)

    streaming = threading.Thread(target=long_stream)
    streaming.start()
    server.wait_for(lambda: server.metric("vllm:num_requests_running") >= 1, 10)
    (engines[0] if victim == "engine" else worker).kill()
    streaming.join(20)
    assert not streaming.is_alive()
    [answer] = outcome
    assert isinstance(answer, httpx.HTTPError) or b'"error"' in answer[1], answer

    server.wait_for(lambda: server.http.get("/readyz").status_code == 503, 10)
    _explain_without_llm(server)
    refused = server.http.post("/v1/chat/completions", json=CHAT)
    assert refused.status_code == 503
    assert int(refused.headers["retry-after"]) >= 1
    assert refused.json()["error"]["message"]
    assert server.http.post("/classify", json=CLASSIFY).status_code == 200

    server.wait_ready(120)
    assert server.http.post("/v1/chat/completions", json=CHAT).status_code == 200
    assert not any(psutil.pid_exists(engine.pid) and engine.is_running() for engine in engines)


async def test_streams_survive_a_frozen_llm_worker(server: Server) -> None:
    """The worker is stopped for seven seconds as a burst begins: longer than uvicorn keeps an idle connection open."""
    server.wait_ready()
    limits = httpx.Limits(max_connections=64)
    async with httpx.AsyncClient(base_url=server.url, timeout=90, limits=limits) as http:

        async def stream() -> bool:
            body = {**CHAT, "stream": True, "ignore_eos": True, "max_tokens": 20}
            async with http.stream("POST", "/v1/chat/completions", json=body) as response:
                lines = [line async for line in response.aiter_lines()]
                return response.status_code == 200 and lines[-2:].count("data: [DONE]") == 1

        assert all(await asyncio.gather(*(stream() for _ in range(64))))
        worker = server.worker("LLM")
        burst = [asyncio.create_task(stream()) for _ in range(64)]
        await asyncio.sleep(0.02)
        worker.send_signal(signal.SIGSTOP)
        try:
            await asyncio.sleep(7)
        finally:
            worker.send_signal(signal.SIGCONT)
        assert all(await asyncio.gather(*burst))
    server.wait_ready(30)


def test_a_hung_llm_is_answered_for_and_goes_on(server: Server) -> None:
    """Its engine is stopped by a signal: it lives, and does nothing."""
    server.wait_ready()
    [engine] = [one for one in server.worker("LLM").children(recursive=True) if "EngineCore" in " ".join(one.cmdline())]
    engine.send_signal(signal.SIGSTOP)
    try:
        late = server.http.post("/v1/chat/completions", json=CHAT, headers={"x-request-timeout": "1"})
        assert late.status_code == 504
        server.wait_for(lambda: server.get_json("/readyz")["dependencies"]["llm"]["state"] == "hung", 60)
        refused = server.http.post("/v1/chat/completions", json=CHAT)
        assert refused.status_code == 503
        assert int(refused.headers["retry-after"]) >= 1
        assert "does not answer" in refused.json()["error"]["message"]
        assert server.http.post("/classify", json=CLASSIFY).status_code == 200
        _explain_without_llm(server)
    finally:
        engine.send_signal(signal.SIGCONT)
    server.wait_ready(60)
    assert server.http.post("/v1/chat/completions", json=CHAT).status_code == 200
    server.wait_for(lambda: server.metric("vllm:num_requests_running") == 0, 30)
    assert engine.is_running()


def test_clients_that_read_nothing_hold_nobody_up(server: Server) -> None:
    """Each is owed megabytes. They are neither kept in memory nor waited for, and the clients are let go of."""
    server.wait_ready()
    gateway = server.worker("Gateway")
    before = gateway.memory_info().rss
    body = json.dumps(
        {**CHAT, "stream": True, "max_tokens": 900, "ignore_eos": True, "logprobs": True, "top_logprobs": 20}
    )
    head = "POST /v1/chat/completions HTTP/1.1\r\nhost: tandem\r\ncontent-type: application/json\r\ncontent-length: "
    with ExitStack() as stack:
        for _ in range(DEAF):
            client = stack.enter_context(socket.socket())
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect(("127.0.0.1", server.port))
            client.sendall(f"{head}{len(body)}\r\n\r\n{body}".encode())
        server.wait_for(lambda: server.metric("tandem_requests_in_flight") > DEAF, 30)
        assert server.http.post("/classify", json=CLASSIFY).status_code == 200
        assert server.http.post("/v1/chat/completions", json=CHAT).status_code == 200
        server.wait_for(lambda: server.metric("vllm:num_requests_running") == 0, 60)
        assert gateway.memory_info().rss - before < DEAF * 2**20
        server.wait_for(lambda: server.metric("tandem_requests_in_flight") < DEAF, 60)
