"""The gateway's way to its dependencies, with real HTTP on Unix sockets and real deaths."""

from __future__ import annotations

import asyncio
import itertools
import json
import socket
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.fake_llm import LLM_NAME, chat_events
from tests.fakes import probabilities_of
from tests.gateway import listening
from tests.wired import CLASSIFY, EXPLAIN, LLM_READY, ROW, Wired, answer_as_llm, classifier_at, llm_at

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from tests.http_server import Request

CHAT = {"model": LLM_NAME, "messages": []}
SHORT = 0.5
"""The patience of a gateway whose deadlines are watched, in seconds."""


async def never(request: Request) -> None:
    await asyncio.Event().wait()


async def test_everything_answers_over_the_hop(tmp_path: Path) -> None:
    wired = Wired(tmp_path)
    async with classifier_at(wired.paths["classifier"]), llm_at(wired.paths["llm"]), wired.client() as client:
        assert (await client.get("/readyz")).status_code == 200
        answer = (await client.post("/classify", json=CLASSIFY)).json()
        assert answer["predictions"] == [{"label": "large", "probabilities": {"small": 0.4, "large": 0.6}}]
        answer = (await client.post("/explain", json=EXPLAIN)).json()
        assert answer["explanation"] == "Because it is tall."
        assert answer["prediction"]["label"] == "large"
        assert (await client.post("/explain_stream", json=EXPLAIN)).text == "Because it is tall."
        streamed = await client.post("/v1/chat/completions", json=CHAT | {"stream": True})
        assert streamed.content == b"".join(chat_events("Because ", "it is tall."))


async def test_concurrent_rows_share_batches_and_keep_their_answers(tmp_path: Path) -> None:
    wired = Wired(tmp_path)
    async with classifier_at(wired.paths["classifier"]), llm_at(wired.paths["llm"]), wired.client() as client:
        heights = [index / 2 for index in range(200)]
        answers = await asyncio.gather(
            *(client.post("/classify", json={"model": "flowers", "rows": [ROW | {"height": one}]}) for one in heights)
        )
        assert {answer.status_code for answer in answers} == {200}
        for height, answer in zip(heights, answers, strict=True):
            large = answer.json()["predictions"][0]["probabilities"]["large"]
            assert large == probabilities_of([height])[1]
        wired.bundle.telemetry.flush()
        batches = wired.bundle.registry.get_sample_value("tandem_batch_rows_count", {"model": "flowers"})
        assert batches is not None
        assert batches < len(heights) / 2


@asynccontextmanager
async def timed(limit: float) -> AsyncIterator[None]:
    began = time.perf_counter()
    yield
    assert time.perf_counter() - began < limit


async def test_gateway_without_any_dependency_answers_at_once(tmp_path: Path) -> None:
    async with Wired(tmp_path).client() as client, timed(1):
        assert (await client.get("/livez")).status_code == 200
        assert (await client.get("/readyz")).status_code == 503
        assert (await client.get("/health")).json()["ready"] is False
        for path, body in (("/classify", CLASSIFY), ("/explain", EXPLAIN), ("/v1/chat/completions", CHAT)):
            answer = await client.post(path, json=body)
            assert answer.status_code == 503
            assert answer.headers["retry-after"]


@pytest.mark.parametrize("dead", ["classifier", "llm"])
async def test_socket_of_a_dead_worker_hangs_no_request(tmp_path: Path, dead: str) -> None:
    """BentoML's arbiter holds it: connections are accepted, and nothing ever answers."""
    wired = Wired(tmp_path, patience=SHORT)
    alive: Callable[[Path], AbstractAsyncContextManager[Any]] = llm_at if dead == "classifier" else classifier_at
    other = {"classifier": "llm", "llm": "classifier"}[dead]
    with socket.socket(socket.AF_UNIX) as held:
        held.bind(str(wired.paths[dead]))
        held.listen(64)
        async with alive(wired.paths[other]), wired.client() as client, timed(5):
            async with timed(1):
                ready = (await client.get("/readyz")).json()
            assert ready["dependencies"][dead]["state"] == "starting"
            assert ready["dependencies"][other]["state"] == "ready"
            if dead == "classifier":
                assert (await client.post("/classify", json=CLASSIFY)).status_code == 503
                assert (await client.post("/v1/chat/completions", json=CHAT)).status_code == 200
            else:
                assert (await client.post("/v1/chat/completions", json=CHAT)).status_code == 503
                answer = (await client.post("/explain", json=EXPLAIN)).json()
                assert answer["prediction"]["label"] == "large"
                assert answer["explanation"] is None
                assert answer["reason"]


async def test_dependency_that_freezes_costs_a_deadline_and_comes_back(tmp_path: Path) -> None:
    wired = Wired(tmp_path, patience=SHORT)
    async with (
        classifier_at(wired.paths["classifier"]),
        llm_at(wired.paths["llm"]) as llm,
        wired.client() as client,
        timed(10),
    ):
        assert (await client.post("/v1/chat/completions", json=CHAT)).status_code == 200
        llm.on_request = llm.on_probe = never
        assert (await client.post("/v1/chat/completions", json=CHAT)).status_code == 504
        explained = (await client.post("/explain", json=EXPLAIN)).json()
        assert explained["explanation"] is None
        for _ in range(3):
            async with timed(1):
                assert (await client.get("/readyz")).status_code == 503
        assert (await client.post("/v1/chat/completions", json=CHAT)).status_code == 503
        llm.on_request = answer_as_llm
        llm.on_probe = lambda request: request.answer(LLM_READY)
        assert (await client.get("/readyz")).status_code == 200
        assert (await client.post("/v1/chat/completions", json=CHAT)).status_code == 200


async def test_classifier_that_dies_and_returns(tmp_path: Path) -> None:
    wired = Wired(tmp_path)
    async with llm_at(wired.paths["llm"]), wired.client() as client, timed(10):
        for _ in range(2):
            async with classifier_at(wired.paths["classifier"]):
                assert (await client.get("/readyz")).status_code == 200
                assert (await client.post("/classify", json=CLASSIFY)).status_code == 200
            wired.paths["classifier"].unlink(missing_ok=True)
            answers = await asyncio.gather(*(client.post("/classify", json=CLASSIFY) for _ in range(20)))
            assert {answer.status_code for answer in answers} == {503}
            assert (await client.get("/readyz")).json()["dependencies"]["classifier"]["state"] == "down"


async def test_idle_connections_that_the_server_closes_lose_no_request(tmp_path: Path) -> None:
    """The server gives every connection up right after its answer, as uvicorn does when it was idle for long enough."""

    async def answer_and_hang_up(request: Request) -> None:
        await answer_as_llm(request)
        request.hang_up()

    wired = Wired(tmp_path)
    async with classifier_at(wired.paths["classifier"]), llm_at(wired.paths["llm"]) as llm, wired.client() as client:
        llm.on_request = answer_and_hang_up
        for stream in (False, True) * 20:
            answer = await client.post("/v1/chat/completions", json=CHAT | {"stream": stream})
            assert answer.status_code == 200
            assert b"error" not in answer.content


@pytest.mark.parametrize(("hangs_up", "code"), [(True, "unavailable"), (False, "deadline_exceeded")])
async def test_stream_that_stops_half_way_ends_with_an_error_event(tmp_path: Path, hangs_up: bool, code: str) -> None:
    async def half(request: Request) -> None:
        await request.begin("content-type: text/event-stream\r\n")
        await request.chunk(chat_events("Because ")[0])
        if hangs_up:
            request.hang_up()

    wired = Wired(tmp_path, patience=SHORT)
    async with classifier_at(wired.paths["classifier"]), llm_at(wired.paths["llm"]) as llm, wired.client() as client:
        llm.on_request = half
        answer = await client.post("/v1/chat/completions", json=CHAT | {"stream": True})
        assert answer.status_code == 200
        assert answer.content.startswith(chat_events("Because ")[0])
        last = answer.content.removesuffix(b"\n\n").rpartition(b"\n\n")[2]
        assert json.loads(last.removeprefix(b"data: "))["error"]["code"] == code


@pytest.mark.parametrize(("hangs_up", "status"), [(True, 503), (False, 504)])
async def test_whole_answer_that_stops_half_way_is_an_error(tmp_path: Path, hangs_up: bool, status: int) -> None:
    async def half(request: Request) -> None:
        await request.begin("content-type: application/json\r\n")
        await request.chunk(b'{"id": ')
        if hangs_up:
            request.hang_up()

    wired = Wired(tmp_path, patience=SHORT)
    async with classifier_at(wired.paths["classifier"]), llm_at(wired.paths["llm"]) as llm, wired.client() as client:
        llm.on_request = half
        assert (await client.post("/v1/chat/completions", json=CHAT)).status_code == status
        explained = (await client.post("/explain", json=EXPLAIN)).json()
        assert explained["explanation"] is None
        assert explained["reason"]
        assert (await client.post("/explain_stream", json=EXPLAIN)).status_code == status


STREAM = json.dumps(CHAT | {"stream": True}).encode()
ASK = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%b" % (len(STREAM), STREAM)


async def test_stream_passes_whole_from_connection_to_connection(tmp_path: Path) -> None:
    """Also past a client that is slow, cut anywhere, and less the usage that it did not ask for."""
    said = chat_events(*(f"word {index} " for index in range(300)))
    usage = b'data: {"choices": [], "usage": {"total_tokens": 310}}\n\n'
    whole = b"".join((*said[:-1], usage, said[-1]))

    async def answer(request: Request) -> None:
        await request.begin("content-type: text/event-stream\r\n")
        at = 0
        for size in itertools.cycle((7, 40, 333, len(said[0]), 3000)):
            await request.chunk(whole[at : at + size])
            at += size
            if at >= len(whole):
                break
            await asyncio.sleep(0)
        await request.chunk(b"")

    wired = Wired(tmp_path)
    async with llm_at(wired.paths["llm"]) as llm, wired.client(), listening(wired.bundle.app, tmp_path / "gateway"):
        llm.on_request = answer
        transport = httpx.AsyncHTTPTransport(uds=str(tmp_path / "gateway"))
        async with httpx.AsyncClient(transport=transport, base_url="http://tandem", timeout=10) as client:
            for _ in range(3):
                assert (await client.post("/v1/chat/completions", content=STREAM)).content == b"".join(said)


async def test_client_that_does_not_read_stops_the_stream_that_is_made_for_it(tmp_path: Path) -> None:
    event = chat_events("x" * 2**16)[0]
    most, sent = 300, 0

    async def answer(request: Request) -> None:
        nonlocal sent
        await request.begin("content-type: text/event-stream\r\n")
        for sent in range(1, most + 1):  # noqa: B007 - counts
            await request.chunk(event)
        await request.chunk(b"")

    wired = Wired(tmp_path)
    async with llm_at(wired.paths["llm"]) as llm, wired.client(), listening(wired.bundle.app, tmp_path / "gateway"):
        llm.on_request = answer
        reader, writer = await asyncio.open_unix_connection(str(tmp_path / "gateway"), limit=2**12)
        writer.write(ASK)
        before = -1
        while before != sent or not sent:
            before = sent
            await asyncio.sleep(0.3)
        assert sent < most / 2
        received = bytearray()
        while not received.endswith(b"0\r\n\r\n"):
            received += await asyncio.wait_for(reader.read(2**20), 10)
        assert received.count(b'data: {"choices"') == most
        writer.close()
