from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from services.errors import PayloadTooLarge
from services.gateway.exchange import ClientGone, Departures, Exchange
from services.telemetry.access_log import AccessLine
from tests.asgi import Client, http_scope

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator


def make(client: Client) -> Exchange:
    scope = http_scope("POST", "/", [(b"x-one", b"1"), (b"x-one", b"2")])
    return Exchange(
        scope, client.receive, client.send, AccessLine(0.0, "id-1", "POST", "/", 500, 0.0), 10, Departures()
    )


async def pieces(*parts: bytes, error: Exception | None = None) -> AsyncGenerator[bytes, None]:
    for part in parts:
        yield part
    if error is not None:
        raise error


async def test_body_is_bounded() -> None:
    assert await make(Client(b"0123456789")).body() == b"0123456789"
    with pytest.raises(PayloadTooLarge):
        await make(Client(b"0123456789x")).body()


def test_first_header_of_a_name() -> None:
    exchange = make(Client())
    assert exchange.header(b"x-one") == "1"
    assert exchange.header(b"x-two") is None


async def test_whole_answer_carries_the_request_id() -> None:
    client = Client()
    exchange = make(client)
    await exchange.json(201, b"{}", ((b"x-extra", b"1"),))
    assert client.status == exchange.line.status == 201
    assert client.headers == {
        "content-length": "2",
        "content-type": "application/json",
        "x-request-id": "id-1",
        "x-extra": "1",
    }
    assert client.complete


async def test_stream_sends_every_piece_as_it_is() -> None:
    client = Client()
    exchange = make(client)
    await exchange.stream(200, pieces(b"\xc3", b"\xbc"), b"text/event-stream", ((b"cache-control", b"no-store"),))
    assert client.pieces == [b"\xc3", b"\xbc"]
    assert client.headers["x-request-id"] == "id-1"
    assert "content-length" not in client.headers
    assert exchange.line.status == 200
    assert client.complete


async def test_stream_of_nothing_is_a_whole_answer() -> None:
    client = Client()
    await make(client).stream(200, pieces(), b"text/plain")
    assert client.status == 200
    assert client.pieces == []
    assert client.complete


async def test_error_before_the_first_piece_leaves_the_status_open() -> None:
    client = Client()
    exchange = make(client)
    with pytest.raises(ZeroDivisionError):
        await exchange.stream(200, pieces(error=ZeroDivisionError()), b"text/plain")
    assert not exchange.started
    assert client.sent == []


async def test_error_after_the_first_piece_does_not_end_the_answer() -> None:
    client = Client()
    exchange = make(client)
    with pytest.raises(ZeroDivisionError):
        await exchange.stream(200, pieces(b"one", error=ZeroDivisionError()), b"text/plain")
    assert exchange.started
    assert not client.complete


async def test_work_ends_before_the_client_leaves() -> None:
    client = Client()
    exchange = make(client)
    await exchange.body()
    await exchange.while_connected(exchange.json(200, b"{}"))
    assert client.complete
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_client_that_leaves_cancels_the_work() -> None:
    client = Client()
    exchange = make(client)
    await exchange.body()
    cancelled = asyncio.Event()
    begun = asyncio.Event()

    async def work() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    waiting = asyncio.create_task(exchange.while_connected(work()))
    await begun.wait()
    client.leave()
    with pytest.raises(ClientGone):
        await waiting
    assert cancelled.is_set()
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_source_of_a_stream_is_closed_when_the_client_leaves_while_it_is_sent_to() -> None:
    client = Client()
    exchange = make(client)
    await exchange.body()
    sending, closed = asyncio.Event(), asyncio.Event()

    async def stuck_send(message: object) -> None:
        sending.set()
        await asyncio.Event().wait()

    async def source() -> AsyncGenerator[bytes, None]:
        try:
            yield b"one"
        finally:
            closed.set()

    exchange._send = stuck_send
    waiting = asyncio.create_task(exchange.while_connected(exchange.stream(200, source(), b"text/plain")))
    await sending.wait()
    client.leave()
    with pytest.raises(ClientGone):
        await waiting
    assert closed.is_set()


async def test_error_of_the_work_reaches_the_caller() -> None:
    exchange = make(Client())
    await exchange.body()

    async def work() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await exchange.while_connected(work())


async def test_cancelled_caller_cancels_the_work() -> None:
    exchange = make(Client())
    await exchange.body()
    cancelled = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    waiting = asyncio.create_task(exchange.while_connected(work()))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert cancelled.is_set()


async def test_client_that_has_its_whole_answer_has_not_left() -> None:
    client = Client()
    exchange = make(client)

    async def answer() -> None:
        await exchange.stream(200, pieces(b"1"), b"text/plain")
        for _ in range(5):  # what is closed after an answer may take its time
            await asyncio.sleep(0)

    work = asyncio.create_task(exchange.while_connected(answer()))
    exchange.listen(work)
    await work
    exchange.close()
    assert not exchange.departed
    assert client.complete
