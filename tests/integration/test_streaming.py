"""Streams through the gateway: what arrives, when, and what stops."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import httpx
import pytest

from services.errors import Unavailable
from services.gateway.streamed import ConnectionLost, Silent
from tests.asgi import Client
from tests.fake_llm import LLM_NAME, Answer, chat_events
from tests.gateway import Bundle, listening

if TYPE_CHECKING:
    from pathlib import Path

CHAT = "/v1/chat/completions"
BODY = json.dumps({"model": LLM_NAME, "messages": [], "stream": True}).encode()
EXPLAIN = json.dumps({"model": "flowers", "row": {"height": 60, "width": 2, "age": 3}}).encode()
PATIENCE = 10


def events(*pieces: bytes, error: Exception | None = None, hold: asyncio.Event | None = None) -> Answer:
    return Answer(list(pieces), content_type="text/event-stream; charset=utf-8", error=error, hold=hold)


async def ask(bundle: Bundle, client: Client, path: str = CHAT) -> None:
    await bundle.monitor.look()
    await client.ask(bundle.app, "POST", path)


async def test_events_arrive_whole_and_byte_for_byte() -> None:
    whole = b"".join(chat_events("gr\u00fcn", "\U0001f33b", "caf\u00e9")).decode().encode()
    raw = json.dumps("gr\u00fcn \U0001f33b", ensure_ascii=False).encode()
    parts = [raw[at : at + 1] for at in range(len(raw))]
    pieces = [whole[:7], whole[7:8], whole[8:], b"data: ", *parts, b"\n\n", b"data: [DONE]\n\n"]
    bundle = Bundle()
    bundle.llm.answer = events(*pieces)
    client = Client(BODY)
    await ask(bundle, client)
    assert client.pieces == [whole, b"data: " + raw + b"\n\n", b"data: [DONE]\n\n"]
    assert client.status == 200
    assert client.headers["content-type"] == "text/event-stream"
    assert client.headers["cache-control"] == "no-store"
    assert client.headers["x-request-id"]
    assert client.complete
    assert bundle.counted(CHAT, 200) == 1


async def test_first_piece_does_not_wait_for_the_second() -> None:
    bundle = Bundle()
    go_on = asyncio.Event()
    bundle.llm.answer = events(b"data: 1\n\n", hold=go_on)
    client = Client(BODY)
    asking = asyncio.create_task(ask(bundle, client))
    await asyncio.wait_for(client.received_body.wait(), PATIENCE)
    assert not asking.done()
    go_on.set()
    await asking
    assert client.complete


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConnectionLost(answer_begun=True), "unavailable"),
        (ConnectionResetError("secret"), "unavailable"),
        (Silent("secret"), "deadline_exceeded"),
    ],
)
async def test_stream_that_breaks_half_way_ends_with_an_error_event(error: Exception, code: str) -> None:
    bundle = Bundle()
    bundle.llm.answer = events(b"data: 1\n\n", b'data: {"cut', error=error)
    client = Client(BODY)
    await ask(bundle, client)
    assert client.status == 200
    assert client.complete
    *before, cut, last, end = b"".join(client.pieces).split(b"\n\n")
    assert before == [b"data: 1"]
    assert cut == b'data: {"cut'
    assert last.startswith(b"data: ")
    assert json.loads(last.removeprefix(b"data: "))["error"]["code"] == code
    assert end == b""
    assert b"secret" not in last
    assert bundle.llm.open == 0


def failure(code: object, message: str = "EngineCore encountered an issue. See stack trace (above).") -> bytes:
    """The event with which vLLM ends a stream that failed."""
    return f"data: {json.dumps({'error': {'message': message, 'type': 'X', 'param': None, 'code': code}})}\n\n".encode()


@pytest.mark.parametrize(
    ("failed", "message"),
    [
        (failure(500), "The language model failed on this request."),
        (b'data: {"error": cut', "The language model failed on this request."),
        (failure(400, "Too long."), "Too long."),
    ],
)
async def test_failure_that_vllm_reports_half_way_is_told_in_our_words(failed: bytes, message: str) -> None:
    said = b'data: {"choices": [{"delta": {"content": "data: {\\"error\\""}}]}\n\n'
    for pieces in ((said, failed, b"data: [DONE]\n\n"), (said + failed + b"data: [DONE]\n\n",)):
        bundle = Bundle()
        bundle.llm.answer = events(*pieces)
        client = Client(BODY)
        await ask(bundle, client)
        assert client.complete
        sent = b"".join(client.pieces)
        assert sent.startswith(said)
        [event, rest] = sent.removeprefix(said).split(b"\n\n")
        error = json.loads(event.removeprefix(b"data: "))["error"]
        assert error["message"] == message
        assert error.keys() == {"message", "type", "param", "code"}
        assert rest == b""


async def test_stream_that_breaks_between_events_gains_nothing_but_the_error() -> None:
    bundle = Bundle()
    bundle.llm.answer = events(b"data: 1\n\n", error=ConnectionLost(answer_begun=True))
    client = Client(BODY)
    await ask(bundle, client)
    assert client.pieces[0] == b"data: 1\n\n"
    assert client.pieces[1].startswith(b'data: {"error"')


async def test_stream_that_breaks_before_its_first_event_still_says_so() -> None:
    bundle = Bundle()
    bundle.llm.answer = events(error=ConnectionLost(answer_begun=True))
    client = Client(BODY)
    await ask(bundle, client)
    assert client.complete
    assert b'"unavailable"' in client.pieces[-1]


async def test_whole_answer_that_breaks_off_is_503() -> None:
    bundle = Bundle()
    bundle.llm.answer = Answer([b'{"id": '], error=Unavailable("The language model broke off while it answered."))
    client = Client(BODY)
    await ask(bundle, client)
    assert client.status == 503
    assert json.loads(client.pieces[0])["error"]["code"] == "unavailable"


@pytest.mark.parametrize(("path", "body"), [(CHAT, BODY), ("/explain_stream", EXPLAIN)])
async def test_client_that_leaves_stops_the_generation(path: str, body: bytes) -> None:
    bundle = Bundle()
    bundle.llm.answer = events(*chat_events("Because ")[:1], hold=asyncio.Event())
    client = Client(body)
    asking = asyncio.create_task(ask(bundle, client, path))
    await asyncio.wait_for(client.received_body.wait(), PATIENCE)
    assert bundle.llm.open == 1
    client.leave()
    await asyncio.wait_for(asking, PATIENCE)
    assert bundle.llm.open == 0
    assert bundle.telemetry.active == 0
    assert bundle.counted(path, 499) == 1


@pytest.mark.parametrize(("path", "body"), [(CHAT, BODY), ("/explain", EXPLAIN)])
async def test_client_that_leaves_before_a_whole_answer_stops_it(path: str, body: bytes) -> None:
    bundle = Bundle()
    bundle.llm.answer = Answer([b"{"], hold=asyncio.Event())
    client = Client(body)
    asking = asyncio.create_task(ask(bundle, client, path))
    await asyncio.wait_for(bundle.llm.reached.wait(), PATIENCE)
    client.leave()
    await asyncio.wait_for(asking, PATIENCE)
    assert bundle.llm.open == 0
    assert client.sent == []
    assert bundle.counted(path, 499) == 1


async def test_client_that_leaves_does_not_hurt_its_batch() -> None:
    bundle = Bundle()
    bundle.classifier.gate.clear()
    body = json.dumps({"model": "flowers", "rows": [{"height": 60, "width": 2, "age": 3}]}).encode()
    clients = [Client(body) for _ in range(3)]
    await bundle.monitor.look()
    asking = [asyncio.create_task(client.ask(bundle.app, "POST", "/classify")) for client in clients]
    await asyncio.wait_for(bundle.classifier.reached.wait(), PATIENCE)
    clients[0].leave()
    asking[1].cancel()
    bundle.classifier.gate.set()
    await asyncio.gather(*asking, return_exceptions=True)
    assert clients[2].status == 200
    assert bundle.telemetry.active == 0


async def test_explanation_that_fails_before_its_first_word_keeps_its_status() -> None:
    bundle = Bundle()
    bundle.llm.answer = events(b'data: {"error": {"message": "died"}}\n\n')
    client = Client(EXPLAIN)
    await ask(bundle, client, "/explain_stream")
    assert client.status == 503


async def test_explanation_that_fails_half_way_is_cut_and_not_ended() -> None:
    bundle = Bundle()
    bundle.llm.answer = events(chat_events("Because ")[0], error=Unavailable("The language model broke off."))
    client = Client(EXPLAIN)
    with pytest.raises(Unavailable):
        await ask(bundle, client, "/explain_stream")
    assert client.pieces == [b"Because "]
    assert not client.complete
    assert bundle.telemetry.active == 0
    assert bundle.counted("/explain_stream", 503) == 1


async def test_over_a_real_connection(tmp_path: Path) -> None:
    bundle = Bundle()
    bundle.llm.answer = events(*chat_events("Because ", "it is tall."))
    await bundle.monitor.look()
    async with listening(bundle.app, tmp_path / "socket"):
        transport = httpx.AsyncHTTPTransport(uds=str(tmp_path / "socket"))
        async with httpx.AsyncClient(transport=transport, base_url="http://tandem") as client:
            async with client.stream("POST", CHAT, content=BODY) as answer:
                received = b"".join([piece async for piece in answer.aiter_raw()])
            assert received == b"".join(chat_events("Because ", "it is tall."))
            bundle.llm.answer = events(*chat_events("Because ")[:1], hold=asyncio.Event())
            async with client.stream("POST", CHAT, content=BODY) as answer:
                assert await anext(answer.aiter_raw())
                assert bundle.llm.open == 1
                bundle.llm.left.clear()
        await asyncio.wait_for(bundle.llm.left.wait(), 1)
        assert bundle.llm.open == 0


async def test_many_streams_at_once(tmp_path: Path) -> None:
    bundle = Bundle()
    bundle.llm.answer = events(*chat_events(*(f"word{index} " for index in range(50))))
    expected = b"".join(bundle.llm.answer.pieces)
    await bundle.monitor.look()
    async with listening(bundle.app, tmp_path / "socket"):
        transport = httpx.AsyncHTTPTransport(uds=str(tmp_path / "socket"))
        async with httpx.AsyncClient(transport=transport, base_url="http://tandem", timeout=PATIENCE) as client:
            answers = await asyncio.gather(*(client.post(CHAT, content=BODY) for _ in range(64)))
    assert all(answer.content == expected for answer in answers)
