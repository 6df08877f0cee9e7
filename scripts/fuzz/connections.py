"""The two ends of HTTP/1.1 that are parsed here, fuzzed: the gateway's own connections, and its clients'."""

from __future__ import annotations

import asyncio
from functools import cache
from typing import TYPE_CHECKING, Any, cast

import uvicorn
from uvicorn.server import ServerState

from services.gateway.hop import Connection
from services.gateway.streamed import ConnectionLost
from services.http_protocol import HttpProtocol

if TYPE_CHECKING:
    from collections.abc import Iterable

    from services.asgi import Receive, Scope, Send

_MOST = 2**17
"""Bytes of an answer to a fuzzed request; each is a few hundred long."""
_PIECE = 7


class _Transport(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.ended = False

    def write(self, data: Any) -> None:
        assert not self.ended, "bytes after the end"
        self.written.append(bytes(data))

    def is_closing(self) -> bool:
        return self.ended

    def close(self) -> None:
        self.ended = True

    abort = close

    def pause_reading(self) -> None:
        """Nothing more is read than is given."""

    resume_reading = pause_reading

    def get_write_buffer_size(self) -> int:
        return 0


def hop_answer(data: bytes) -> None:
    """Answers of a dependency: a status and a body, the same in whichever pieces they come, or a connection that is lost."""
    whole = loop().run_until_complete(_asked((data,)))
    assert whole == loop().run_until_complete(_asked(_pieces(data)))


async def _asked(pieces: Iterable[bytes]) -> tuple[int, bytes] | None:
    connection = Connection()
    transport = _Transport()
    connection.connection_made(transport)
    asking = asyncio.ensure_future(connection.request(b"GET / HTTP/1.1\r\n\r\n"))
    await asyncio.sleep(0)
    for piece in pieces:
        if transport.ended or asking.done():
            break
        connection.data_received(piece)
        await asyncio.sleep(0)
    connection.connection_lost(None)
    try:
        return await asking
    except ConnectionLost:
        return None


def http_request(data: bytes) -> None:
    """Requests of a client: what the app sees has no line breaks, and is the same in whichever pieces it comes."""
    whole = loop().run_until_complete(_served((data,)))
    in_pieces = loop().run_until_complete(_served(_pieces(data)))
    # A request that is refused at once takes with it those that had not been begun.
    shorter, longer = sorted((whole, in_pieces), key=len)
    assert longer[: len(shorter)] == shorter


async def _served(pieces: Iterable[bytes]) -> list[tuple[str, str, bytes]]:
    seen: list[tuple[str, str, bytes]] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for name, value in scope["headers"]:
            assert not {b"\r", b"\n", b"\0"} & {*map(bytes, zip(name + value))}, "a header that is several"
            assert name == name.lower()
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message["body"]
            more = message["more_body"]
        seen.append((scope["method"], scope["path"], body))
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    config = _config()
    config.loaded_app = app
    transport = _Transport()
    protocol = HttpProtocol(config=config, server_state=ServerState(), app_state={}, _loop=asyncio.get_running_loop())
    protocol.connection_made(transport)
    for piece in pieces:
        if transport.ended:
            break
        protocol.data_received(piece)
        for _ in range(3):
            await asyncio.sleep(0)
    for _ in range(20):
        await asyncio.sleep(0)
    protocol.connection_lost(None)
    tasks = [*protocol.tasks]
    await asyncio.gather(*tasks)
    assert sum(map(len, transport.written)) < _MOST
    return seen


def _pieces(data: bytes) -> Iterable[bytes]:
    return (data[at : at + _PIECE] for at in range(0, len(data), _PIECE))


@cache
def _config() -> uvicorn.Config:
    config = uvicorn.Config(cast("Any", _none), lifespan="off", log_config=None, log_level="critical")
    config.load()
    return config


async def _none(_scope: Scope, _receive: Receive, _send: Send) -> None:
    raise AssertionError("replaced for each input")


@cache
def loop() -> asyncio.AbstractEventLoop:
    """The one on which connections are fuzzed."""
    return asyncio.new_event_loop()


def seeds() -> dict[str, list[bytes]]:
    """A few good inputs of each target, to begin from."""
    return {
        "hop_answer": [
            b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi",
            b"HTTP/1.1 503 No\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nx: y\r\n\r\n",
        ],
        "http_request": [
            b"POST /classify?a HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nhiGET http://a/b%20 HTTP/1.0\r\n\r\n",
            b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nexpect: 100-continue\r\n\r\n2;x\r\nhi\r\n0\r\nx: y\r\n\r\n",
            b"POST / HTTP/1.1\r\nconnection: upgrade\r\nupgrade: h2c\r\ncontent-length: 1\r\n\r\nxGET /b HTTP/1.1\r\n\r\n",
        ],
    }


TARGETS = {one.__name__: one for one in (hop_answer, http_request)}
"""By name."""
