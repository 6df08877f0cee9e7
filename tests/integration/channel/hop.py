"""A real upstream, and the LLM service's own app over a made-up engine, on a Unix socket with a channel."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from services.gateway.address import Address
from services.gateway.streamed import ConnectionLost, StreamedAnswer
from services.gateway.upstream import Upstream
from services.http_protocol import HttpProtocol
from services.llm.channels import Channels
from services.llm.front import EngineFront, EngineStatus
from tests.gateway import listening
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from services.asgi import Receive, Scope, Send


PIECES = [b"data: piece %d\n\n" % number for number in range(5)]
LARGE = 2**19


class Lost(Exception):
    """The connection or the channel broke."""


class Engine:
    """An engine's app whose streams send a piece each time that they are told to, and note who left."""

    def __init__(self) -> None:
        self.status = EngineStatus("ready", None, "mini", ("mini",), 0.0)
        self.app = self
        self.pieces: list[bytes] = PIECES
        self.fails_after: int | None = None
        self.content_type = b"text/event-stream; charset=utf-8"
        self.began = 0
        self.may_begin = asyncio.Event()
        self.may_begin.set()
        self.turn = asyncio.Event()
        self.turn.set()
        self.under_way = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive()).get("more_body"):
            pass
        self.began += 1
        await self.may_begin.wait()
        headers = [(b"content-type", self.content_type)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        self.under_way += 1
        work = asyncio.ensure_future(self._stream(send))
        leaving = asyncio.ensure_future(receive())
        try:
            await asyncio.wait((work, leaving), return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                work.result()
        finally:
            self.under_way -= 1
            work.cancel()
            leaving.cancel()

    async def _stream(self, send: Send) -> None:
        fails_after = self.fails_after
        for number, piece in enumerate(self.pieces):
            await self.turn.wait()
            if number == fails_after:
                raise RuntimeError("half a stream")
            await send({"type": "http.response.body", "body": piece, "more_body": True})
            await asyncio.sleep(0)
        await send({"type": "http.response.body", "body": b""})


class Hop:
    """An upstream to an engine, with a channel that is open."""

    def __init__(self, path: Path) -> None:
        self.engine = Engine()
        self.channels = Channels()
        self.path = path
        self.upstream = self.another()
        assert self.upstream._channel is not None
        self.channel = self.upstream._channel

    def another(self) -> Upstream:
        address = Address.parse(f"file://{self.path}")
        return Upstream("language model", address, connect_timeout=1, probe_timeout=1, channel=True)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Hop]:
        front = EngineFront(self.engine, lambda: None, None, self.channels)
        async with asyncio.timeout(20), listening(front, self.path, http=HttpProtocol):
            await self.upstream.open()
            try:
                assert await self.read() == b"".join(PIECES)  # by its own connection, and the channel is opened
                await self.opened()
                yield self
            finally:
                await self.upstream.close()

    async def opened(self) -> None:
        await until(lambda: self.channel._name)

    async def read(self) -> bytes:
        async with self.stream() as answer:
            try:
                return await answer.read()
            except ConnectionLost as lost:  # which the upstream would tell as a client hears it
                raise Lost from lost

    def stream(self) -> AbstractAsyncContextManager[StreamedAnswer]:
        return self.upstream.stream("POST", "/task", body=b"q", idle_timeout=5)

    async def under_way(self, streams: int) -> None:
        """Return once so many are."""
        await until(lambda: self.engine.under_way == streams)
