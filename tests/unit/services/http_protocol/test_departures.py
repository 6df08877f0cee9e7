"""What requests hear of a client that leaves while others of it wait behind them. On uvloop, whose transports raise where asyncio's do not."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import uvloop

from services.asgi import shortcut_of
from tests.gateway import listening_on

if TYPE_CHECKING:
    from services.asgi import Receive, Scope, Send


async def leaving_with_requests_behind() -> tuple[list[bool], Any]:
    """Whether pieces went out of a stream whose client left with another request sent, and what the stream heard then."""
    go_on = asyncio.Event()
    pieces: list[bool] = []
    heard: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        shortcut = shortcut_of(scope)
        assert shortcut is not None
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"first", "more_body": True})
        await go_on.wait()
        while shortcut.piece(b"more"):
            pieces.append(True)
            await asyncio.sleep(0.01)
        heard.set_result(await receive())
        await send({"type": "http.response.body", "body": b""})

    async with asyncio.timeout(20), listening_on(app) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /one HTTP/1.1\r\nhost: a\r\n\r\nGET /two HTTP/1.1\r\nhost: a\r\n\r\n")
        await reader.readuntil(b"first\r\n")
        writer.close()
        go_on.set()
        return pieces, await heard


def test_a_stream_hears_that_its_client_left_though_another_request_waits_behind_it() -> None:
    pieces, heard = uvloop.run(leaving_with_requests_behind())
    assert len(pieces) < 100
    assert heard == {"type": "http.disconnect"}
