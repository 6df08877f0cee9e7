"""A whole answer in one write, byte for byte, from a real uvicorn."""

from __future__ import annotations

import asyncio
import gc
import weakref
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from services.asgi import SHORTCUT, FrontMiddleware, answer, send_bytes
from services.http_protocol import HttpProtocol
from tests.asgi import no_fallback
from tests.gateway import listening
from tests.wire import request, wire

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from services.asgi import ASGIApp, Header, Receive, Scope, Send
    from tests.wire import Wire


class Counting:
    """A transport that counts the writes."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self.transport = transport
        self.writes = 0

    def write(self, data: bytes) -> None:
        self.writes += 1
        self.transport.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.transport, name)


class Counted(HttpProtocol):
    transports: list[Counting]

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.transports.append(Counting(transport))
        super().connection_made(self.transports[-1])  # type: ignore[arg-type]


def answering(body: bytes = b"{}", *headers: Header) -> ASGIApp:
    """An app that answers so, and with the path."""

    async def app(scope: Scope, _receive: Receive, send: Send) -> None:
        await answer(scope, send, 200, body, ((b"x-path", scope["path"].encode()), *headers))

    return app


@asynccontextmanager
async def served(folder: Path, app: ASGIApp, protocol: type[HttpProtocol] = Counted) -> AsyncIterator[Wire]:
    """A connection to `app`."""
    Counted.transports = []
    async with asyncio.timeout(30), listening(app, folder / "socket", protocol), wire(folder / "socket") as client:
        yield client


def writes() -> int:
    return sum(transport.writes for transport in Counted.transports)


async def test_head_and_body_go_out_together(tmp_path: Path) -> None:
    async with served(tmp_path, answering(b"hello", (b"content-type", b"text/plain"))) as client:
        for number in range(3):
            heard = await client.ask(request(b"/%d" % number))
            assert (heard.status, heard.body, heard.headers["x-path"]) == (200, b"hello", f"/{number}")
            assert heard.headers["content-type"] == "text/plain"
            assert "connection" not in heard.headers
            assert writes() == number + 1


async def test_large_body_is_not_copied_for_it(tmp_path: Path) -> None:
    async with served(tmp_path, answering(b"x" * 10**6)) as client:
        assert (await client.ask(request())).body == b"x" * 10**6
        assert writes() == 2


async def test_requests_in_one_packet_are_answered_in_order(tmp_path: Path) -> None:
    async with served(tmp_path, answering()) as client:
        await client.send(b"".join(request(b"/%d" % number) for number in range(5)))
        assert [(await client.answer()).headers["x-path"] for _ in range(5)] == [f"/{number}" for number in range(5)]


async def test_head_request_gets_no_body(tmp_path: Path) -> None:
    async with served(tmp_path, answering(b"hello")) as client:
        await client.send(request(method=b"HEAD") + request(b"/next", b"connection: close"))
        heard = await client.rest()
        assert heard.count(b"content-length: 5\r\n") == 2
        assert heard.count(b"hello") == 1


@pytest.mark.parametrize("asked", [request(b"/", b"connection: close"), b"GET / HTTP/1.0\r\n\r\n"])
async def test_connection_that_is_not_kept_closes(tmp_path: Path, asked: bytes) -> None:
    async with served(tmp_path, answering()) as client:
        heard = await client.ask(asked)
        assert (heard.headers["connection"], heard.body, await client.rest()) == ("close", b"{}", b"")


async def test_app_may_close_the_connection(tmp_path: Path) -> None:
    async with served(tmp_path, answering(b"{}", (b"connection", b"close"))) as client:
        heard = await client.ask(request())
        assert (heard.headers["connection"], heard.body, await client.rest()) == ("close", b"{}", b"")


@pytest.mark.parametrize("value", [b"a\r\nset-cookie: b=c", b"a\nb", b"a\rb"])
async def test_line_break_in_a_header_splits_no_answer(tmp_path: Path, value: bytes) -> None:
    async with served(tmp_path, answering(b"{}", (b"x-told", value))) as client:
        await client.send(request())
        assert await client.rest() == b""


async def ordinary(_scope: Scope, _receive: Receive, send: Send) -> None:
    """An app that knows of no other way."""
    await send_bytes(send, 200, b"{}", ())


@pytest.mark.parametrize("app", [answering(), ordinary], ids=["in one write", "in two"])
async def test_answered_request_leaves_nothing_to_the_collector(tmp_path: Path, app: ASGIApp) -> None:
    """Cycles that it has to find cost more time than the answer in one write saves."""
    cycles: list[weakref.ref[object]] = []

    class Watched(HttpProtocol):
        def _start_asgi_task(self, cycle: Any, app: Any) -> None:
            super()._start_asgi_task(cycle, app)
            cycles.append(weakref.ref(cycle))

    gc.disable()
    try:
        async with served(tmp_path, app, Watched) as client:
            for _ in range(3):
                await client.ask(request())
            assert [cycle() is None for cycle in cycles] == [True, True, False]
    finally:
        gc.enable()


async def test_connection_at_rest_is_closed(tmp_path: Path) -> None:
    class Brief(HttpProtocol):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            self.timeout_keep_alive = 0.05  # type: ignore[assignment]

    async with served(tmp_path, answering(), Brief) as client:
        assert (await client.ask(request())).status == 200
        assert await client.rest() == b""


@pytest.mark.parametrize("first", [True, False])
async def test_middleware_further_out_sees_every_answer(first: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    offered: list[bool] = []

    async def app(scope: Scope, _receive: Receive, _send: Send) -> None:
        offered.append(SHORTCUT in scope["extensions"])

    class Service:
        def front(self, _fallback: ASGIApp) -> ASGIApp:
            return app

    monkeypatch.setattr("bentoml.get_current_service", Service)
    scope: Scope = {"type": "http", "extensions": {SHORTCUT: None}}
    await FrontMiddleware(no_fallback, first=first)(scope, None, None)  # type: ignore[arg-type]
    assert offered == [first]


async def test_pieces_of_a_body_go_out_one_by_one_and_only_within_it(tmp_path: Path) -> None:
    taken: list[bool] = []

    async def app(scope: Scope, _receive: Receive, send: Send) -> None:
        piece = scope["extensions"][SHORTCUT].piece
        taken.append(piece(b"before the head"))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        taken.extend(piece(part) for part in (b"one ", b"", b"two "))
        await send({"type": "http.response.body", "body": b"three", "more_body": True})
        before = writes()
        taken.append(piece(b" four"))
        assert writes() == before + 1
        await send({"type": "http.response.body"})
        taken.append(piece(b"after the end"))

    async with served(tmp_path, app) as client:
        for _ in range(2):
            taken.clear()
            assert (await client.ask(request())).body == b"one two three four"
            assert taken == [False, True, False, True, True, False]


async def test_pieces_are_declined_for_a_client_that_reads_nothing_or_left(tmp_path: Path) -> None:
    declined = asyncio.Event()
    over: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        piece = scope["extensions"][SHORTCUT].piece
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while piece(b"x" * 2**16):
            pass
        declined.set()
        while (await receive())["type"] != "http.disconnect":
            pass
        over.set_result(piece(b"x"))

    async with served(tmp_path, app) as client:
        await client.send(request())
        await declined.wait()
        client.close()
        assert await over is False
