"""An answer of a dependency that is read as it comes, and what may go wrong with that."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

import httptools

from services.channel import CHANNEL_HEADER, TAKEN

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping

    Taker = Callable[[bytes], bool]

_MOST_UNREAD = 2**18
"""Bytes that nobody has read yet from which on no more are taken from the connection."""


class ConnectionLost(ConnectionError):
    """The connection ended before the answer was complete."""

    def __init__(self, *, answer_begun: bool) -> None:
        super().__init__("The connection was lost.")
        self.answer_begun = answer_begun


class Silent(TimeoutError):
    """Nothing came for too long."""


class Content(Protocol):
    """The body of an answer."""

    def iter_any(self) -> AsyncIterator[bytes]:
        """The pieces that come."""
        ...

    def offer_to(self, taker: Taker) -> None:
        """Offer each piece to `taker` in the moment that it comes, while `iter_any` waits for one; what it does not take,
        `iter_any` gives. So most pieces of a stream wake no task.
        """
        ...


class Answer(Protocol):
    """An answer whose head has come."""

    @property
    def status(self) -> int: ...

    @property
    def headers(self) -> Mapping[str, str]:
        """By name in lower case."""
        ...

    @property
    def content(self) -> Content:
        """Raises ConnectionLost or Silent while it is read."""
        ...

    async def read(self) -> bytes:
        """The whole body."""
        ...


class StreamedAnswer:
    """One answer on one connection."""

    def __init__(self, transport: asyncio.Transport, idle_timeout: float) -> None:
        """It fails with Silent when nothing comes for `idle_timeout` seconds from now on."""
        self.status = 0
        self.headers: dict[str, str] = {}
        self.complete = False
        """Whether all of it has come."""
        self.keeps_alive = False
        """Whether it is, and the connection may carry another."""
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._idle_timeout = idle_timeout
        self._heard = self._loop.time()
        self._timer = self._loop.call_later(idle_timeout, self._look)
        self._parser: httptools.HttpResponseParser | None = httptools.HttpResponseParser(self)
        self._begun: asyncio.Future[None] = self._loop.create_future()
        self.has_ended = False
        """Whether all has come of its own connection."""
        self._is_apart = self._was_apart = False
        """Whether more pieces come over a channel, and whether all of those have come."""
        self._lost_channel = False
        self._new: list[bytes] = []
        self._unread: list[bytes] = []
        self._size = 0
        self._paused = False
        self._taker: Taker | None = None
        self._error: Exception | None = None
        self._waiter: asyncio.Future[None] | None = None

    @property
    def content(self) -> StreamedAnswer:
        """The body."""
        return self

    async def begin(self) -> None:
        """Return once the head has come."""
        await self._begun

    def feed(self, data: bytes) -> None:
        """Take in what came. Raises httptools.HttpParserError for what is no HTTP."""
        self._heard = self._loop.time()
        if self.has_ended or self._parser is None:
            raise httptools.HttpParserError("Nobody asked for more.")
        self._parser.feed_data(data)
        if not self._is_apart:
            self._pass_on()

    def take(self, piece: bytes) -> None:
        """Take in a piece that came over a channel, ahead of all that comes over the answer's own connection; an empty one when no
        more of them come.
        """
        self._heard = self._loop.time()
        if piece:
            self._offer(piece)
        else:
            self._is_apart, self._was_apart = False, True
            self.complete = self.has_ended
            self._pass_on()
        if self._unread or self.complete:
            self._wake()

    def lose_channel(self) -> None:
        """No more comes over the channel that its pieces might take: an answer that takes it has perhaps lost one."""
        self._lost_channel = True
        if self._is_apart:
            self.fail(ConnectionLost(answer_begun=True))

    def fail(self, error: Exception) -> None:
        """End it with `error`, unless it is complete."""
        if self.complete or self._error is not None:
            return
        self._error = error
        self._timer.cancel()
        if not self._begun.done():
            self._begun.set_exception(error)
        self._wake()

    def end(self) -> None:
        """Let go of what it holds."""
        self._timer.cancel()
        self._taker = self._parser = None
        self._read_on()

    def offer_to(self, taker: Taker) -> None:
        """See `Content`."""
        self._taker = taker

    async def iter_any(self) -> AsyncGenerator[bytes, None]:
        """See `Content`."""
        while True:
            while self._unread:
                piece = self._unread[0] if len(self._unread) == 1 else b"".join(self._unread)
                self._unread.clear()
                self._read_on()
                yield piece
            if self.complete:
                return
            if self._error is not None:
                raise self._error
            self._waiter = self._loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None

    async def read(self) -> bytes:
        """See `Answer`."""
        return b"".join([piece async for piece in self.iter_any()])

    def on_header(self, name: bytes, value: bytes) -> None:
        """Called by the parser."""
        self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """Called by the parser."""
        assert self._parser is not None
        self.status = self._parser.get_status_code()
        self._is_apart = not self._was_apart and self.headers.get(CHANNEL_HEADER) == TAKEN
        if self._is_apart and self._lost_channel:
            self.fail(ConnectionLost(answer_begun=True))
        if not self._begun.done():
            self._begun.set_result(None)

    def on_body(self, body: bytes) -> None:
        """Called by the parser for each part of the body."""
        self._new.append(body)

    def on_message_complete(self) -> None:
        """Called by the parser at the end of the answer."""
        assert self._parser is not None
        self.has_ended = True
        self.complete = not self._is_apart
        self.keeps_alive = self._parser.should_keep_alive()
        if self.complete:
            self._timer.cancel()

    def _pass_on(self) -> None:
        """Give the reader what came over the answer's own connection."""
        if self._new:
            piece = self._new[0] if len(self._new) == 1 else b"".join(self._new)
            self._new.clear()
            self._offer(piece)
        if self._unread or self.complete:
            self._wake()

    def _offer(self, piece: bytes) -> None:
        waiter = self._waiter
        if waiter is None or waiter.done() or self._taker is None or not self._taker(piece):
            self._keep(piece)

    def _keep(self, piece: bytes) -> None:
        self._unread.append(piece)
        self._size += len(piece)
        if self._size > _MOST_UNREAD and not self._paused and not self.complete:
            self._paused = True
            self._transport.pause_reading()

    def _read_on(self) -> None:
        self._size = 0
        if self._paused:
            self._paused = False
            self._heard = self._loop.time()
            self._transport.resume_reading()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _look(self) -> None:
        """One timer a stream, and none a piece."""
        now = self._loop.time()
        due = now + self._idle_timeout if self._paused else self._heard + self._idle_timeout
        if due <= now:
            self.fail(Silent())
        else:
            self._timer = self._loop.call_at(due, self._look)
