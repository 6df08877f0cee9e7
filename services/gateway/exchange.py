"""One request and its answer, as handlers see them."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from services.asgi import answer, headers_in, read_body, shortcut_of

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Coroutine, Iterable

    from services.asgi import Header, Receive, Scope, Send
    from services.gateway.control.passage import Passage
    from services.telemetry.access_log import AccessLine


_LONG = 0.05
"""Seconds of work after which it is worth knowing whether the client still waits."""


class ClientGone(Exception):
    """The client closed its connection before its answer was complete."""


class Exchange:
    """Reads one request and sends one answer, adding the request id to it and noting the status."""

    __slots__ = (
        "_departures",
        "_receive",
        "_send",
        "_watch",
        "answered",
        "body_limit",
        "departed",
        "line",
        "passage",
        "scope",
        "started",
        "told",
    )

    def __init__(
        self, scope: Scope, receive: Receive, send: Send, line: AccessLine, body_limit: int, departures: Departures
    ) -> None:
        self.scope = scope
        self._departures = departures
        self.line = line
        self.started = False
        """Whether the head of the answer is out, after which the status cannot change."""
        self.answered = False
        """Whether all of the answer is handed over: servers call that a departure too, and it is none."""
        self.departed = False
        """Whether the client left while its answer was worked on; the work is cancelled then."""
        self._watch: asyncio.Task[None] | None = None
        self.passage: Passage | None = None
        """How the request was let in; None when nothing keeps watch over it."""
        self.told = b""
        """What the caller hears of its limits, as header lines, where its passage is not its own."""
        self._receive = receive
        self._send = send
        self.body_limit = body_limit
        """Most bytes that a body may have."""

    async def body(self) -> bytes:
        """The request's whole body; PayloadTooLarge past the limit. From then on the work is cancelled if the client leaves
        while it takes long.
        """
        body = await read_body(self.scope, self._receive, self.body_limit)
        self._departures.add(self)
        return body

    def listen(self, work: asyncio.Task[Any]) -> None:
        """Cancel `work` when the client leaves."""
        self._watch = asyncio.ensure_future(self._end_with_client(work))

    def close(self) -> None:
        """The work is done: listen for the client no longer, and let its passage end."""
        self._departures.discard(self)
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        if self.passage is not None:
            self.passage.leave()

    def header(self, name: bytes) -> str | None:
        """The first header called `name` (lower case)."""
        return next((value.decode("latin-1") for key, value in self.scope["headers"] if key == name), None)

    def json(self, status: int, body: bytes, headers: Iterable[Header] = ()) -> Coroutine[Any, Any, None]:
        """Send a whole answer of JSON bytes."""
        return self.whole(status, body, b"application/json", headers)

    def whole(
        self, status: int, body: bytes, content_type: bytes, headers: Iterable[Header] = ()
    ) -> Coroutine[Any, Any, None]:
        """Send a whole answer."""
        self.started = self.answered = True
        self.line.status = status
        return answer(self.scope, self._send, status, body, headers, self._told(content_type))

    async def stream(
        self, status: int, pieces: AsyncGenerator[bytes, None], content_type: bytes, headers: Iterable[Header] = ()
    ) -> None:
        """Send each piece as it comes, and close `pieces` however it ends. The head goes out with the first piece, so that
        an error before it can still be answered with its status.
        """
        async with aclosing(pieces):
            async for piece in pieces:
                if not self.started:
                    await self._start(status, content_type, headers)
                await self._send({"type": "http.response.body", "body": piece, "more_body": True})
        if not self.started:
            await self._start(status, content_type, headers)
        self.answered = True
        await self._send({"type": "http.response.body", "body": b""})

    def send_at_once(self, piece: bytes) -> bool:
        """Send one more piece of a stream from where it came in, past the task that streams; False, with nothing sent, where that is
        for `stream` to do.
        """
        shortcut = shortcut_of(self.scope)
        return shortcut is not None and self.started and shortcut.piece(piece)

    async def while_connected(self, work: Coroutine[Any, Any, None]) -> None:
        """Run `work` for as long as the client waits for it. Call it once the body has been read.

        Raises ClientGone as soon as the client leaves; `work` is cancelled then, and with it what it waits for.
        """
        working = asyncio.ensure_future(work)
        leaving = asyncio.ensure_future(self._client_left())
        try:
            await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
            if not working.done() and not self.answered:
                raise ClientGone
            await working
        finally:
            working.cancel()
            leaving.cancel()
            await asyncio.gather(working, leaving, return_exceptions=True)

    async def _end_with_client(self, work: asyncio.Task[Any]) -> None:
        await self._client_left()
        if not self.answered:
            self.departed = True
            work.cancel()

    async def _client_left(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def _start(self, status: int, content_type: bytes, headers: Iterable[Header]) -> None:
        self.started = True
        self.line.status = status
        head = [*headers_in(self._told(content_type)), *headers]
        await self._send({"type": "http.response.start", "status": status, "headers": head})

    def _told(self, content_type: bytes) -> bytes:
        """The headers of every answer, as they go out: made of nothing that could break out of its line."""
        request_id = self.line.request_id.encode("latin-1")
        told = self.told or self.passage.told() if self.passage is not None else self.told
        return b"content-type: %b\r\nx-request-id: %b\r\n%b" % (content_type, request_id, told)


class Departures:
    """Finds the requests that take long, for only those are worth a task that listens for the client.

    One timer for all of them, and no look at the clock: either, a request, costs a tenth of the gateway's throughput.
    """

    def __init__(self) -> None:
        self._recent: dict[Exchange, asyncio.Task[Any]] = {}
        self._older: dict[Exchange, asyncio.Task[Any]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop

    def add(self, exchange: Exchange) -> None:
        """The current task works on `exchange`, whose body has been read."""
        if self._timer is None:
            self._loop = asyncio.get_running_loop()
            self._timer = self._loop.call_later(_LONG, self._look)
        work = asyncio.current_task(self._loop)  # which would ask the system for the process' id to find the loop
        assert work is not None
        self._recent[exchange] = work

    def discard(self, exchange: Exchange) -> None:
        """The work is done."""
        if self._recent.pop(exchange, None) is None:
            self._older.pop(exchange, None)

    def _look(self) -> None:
        """Who was here at the last look and is still, takes long."""
        for exchange, work in self._older.items():
            exchange.listen(work)
        self._older, self._recent = self._recent, {}
        self._timer = self._loop.call_later(_LONG, self._look) if self._older else None
