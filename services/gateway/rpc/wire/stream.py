"""One gRPC call: an HTTP/2 stream with messages in both directions and a status at the end."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import grpc

from services.errors import ServingError, Unsupported
from services.gateway.rpc.wire.frames import CANCEL, FLOW_CONTROL_ERROR, NO_ERROR, STREAM_CLOSED, reset, window_update
from services.gateway.rpc.wire.inbox import Inbox
from services.gateway.rpc.wire.outbox import Outbox

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine

    from services.gateway.rpc.wire.heads import Head
    from services.gateway.rpc.wire.outbox import Trailers
    from services.gateway.rpc.wire.outflow import Outflow

WINDOW = 2**20
"""Bytes that a call may have sent and not seen taken, beyond the message that is on its way."""


@dataclass(frozen=True, slots=True)
class Method:
    """What answers the calls of one path."""

    run: Callable[[Stream], Coroutine[Any, Any, None]]
    takes_stream: bool = False
    """Whether it begins with the call's head instead of after its last message."""


class Carrier(Protocol):
    """What a call needs of its connection."""

    host: str | None
    flow: Outflow
    limit: int

    def forget(self, stream: Stream, *, answered: bool) -> None:
        """`stream` is over; `answered` says whether it was to the end."""


class Stream:
    """A call, as the server sees it."""

    __slots__ = (
        "_arrived",
        "_broken",
        "_carrier",
        "_deadline",
        "_held",
        "_inbox",
        "_messages",
        "_method",
        "_owed",
        "_received",
        "_remote_ended",
        "_seen",
        "_task",
        "_timer",
        "expired",
        "head",
        "id",
        "outbox",
    )

    def __init__(self, carrier: Carrier, stream_id: int, head: Head, method: Method) -> None:
        self.id = stream_id
        self.head = head
        self.expired = False
        """Whether the caller's deadline ended it."""
        self.outbox = Outbox(carrier.flow, stream_id, self._close)
        self._carrier = carrier
        self._method = method
        self._inbox = Inbox(head.encoding, carrier.limit)
        self._messages: deque[bytes] = deque()
        self._held = self._owed = self._received = 0
        self._seen: int | None = None
        self._broken: ServingError | None = None
        self._arrived: asyncio.Future[None] | None = None
        self._remote_ended = False
        self._task: asyncio.Task[None] | None = None
        self._deadline: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        if head.timeout is not None:
            loop = asyncio.get_running_loop()
            self._deadline = loop.time() + head.timeout
            self._timer = loop.call_later(head.timeout, self._expire)
        if method.takes_stream:
            self._run()

    @property
    def host(self) -> str | None:
        """Address of the caller."""
        return self._carrier.host

    @property
    def seconds(self) -> float | None:
        """How long the caller still waits; None when it set no deadline."""
        return None if self._deadline is None else self._deadline - asyncio.get_running_loop().time()

    def request(self) -> bytes:
        """The one message of a call that has one. Raises ServingError when there is none, more, or one that is broken."""
        if self._broken is not None:
            raise self._broken
        if len(self._messages) != 1:
            raise Unsupported(f"This method takes one message; {len(self._messages) or 'none'} came.")
        return self._messages[0]

    async def requests(self) -> AsyncIterator[bytes]:
        """The messages as they come. Raises ServingError at one that is broken."""
        while True:
            while self._messages:
                message = self._messages.popleft()
                self._held -= len(message)
                self._credit()
                yield message
            if self._broken is not None:
                raise self._broken
            if self._remote_ended:
                return
            self._arrived = asyncio.get_running_loop().create_future()
            await self._arrived

    def respond(self, message: bytes, trailers: Trailers = ()) -> None:
        """The one answer, and that the call went well."""
        if trailers:
            self.outbox.put(message)
            self.outbox.end(grpc.StatusCode.OK, "", trailers)
        else:
            self.outbox.respond(message)

    async def send(self, message: bytes) -> None:
        """One answer of several; waits while the caller takes no more."""
        self.outbox.put(message)
        await self.outbox.drained()
        await asyncio.sleep(0)  # answers that are all there already must not keep other callers waiting

    def end(self, status: grpc.StatusCode, message: str = "", trailers: Trailers = ()) -> None:
        """Say how the call went. Whatever comes after is ignored."""
        self.outbox.end(status, message, trailers)

    def feed(self, data: bytes, size: int, *, ends: bool) -> None:
        """`data` came in a frame whose payload was `size` bytes long."""
        if self._remote_ended:
            self.break_off(STREAM_CLOSED)
            return
        if self._broken is None and not self.outbox.ended:
            self._owed += size
            self._received += size
            if self._owed > WINDOW:
                self.break_off(FLOW_CONTROL_ERROR)
                return
            self._take(data)
        if ends:
            self.close_remote()
        else:
            self._credit()
            self._wake()

    def close_remote(self) -> None:
        """The caller sends no more."""
        self._remote_ended = True
        if not self._inbox.is_empty and self._broken is None:
            self._broken = Unsupported("The last message is cut off.")
        self._run()
        self._wake()

    def look(self, least: int) -> None:
        """End a call whose one request has brought less than `least` bytes since the last look, or whose caller took nothing."""
        if self.outbox.is_stuck():
            self._carrier.flow.answer(reset(self.id, CANCEL))
            self._leave()
            self._carrier.forget(self, answered=True)
            return
        if self._task is None and not self.outbox.ended:
            if self._seen is not None and self._received - self._seen < least:
                self.end(grpc.StatusCode.DEADLINE_EXCEEDED, "The request came too slowly.")
            self._seen = self._received

    def break_off(self, code: int) -> None:
        """The caller broke the protocol: end the call with an HTTP/2 error."""
        self._carrier.flow.answer(reset(self.id, code))
        self.abandon()

    def abandon(self) -> None:
        """Nobody waits for the answer any more. Raises ViolationError when that happens too often."""
        self._leave()
        self._carrier.forget(self, answered=False)

    def _leave(self) -> None:
        self.outbox.drop()
        self._stop_timer()
        if self._task is not None:
            self._task.cancel()

    def _take(self, data: bytes) -> None:
        try:
            messages = self._inbox.feed(data)
        except ServingError as error:
            self._broken = error
            self._run()
            return
        for message in messages:
            self._messages.append(message)
            self._held += len(message)
        if len(self._messages) > 1 and not self._method.takes_stream:
            self._run()  # which says that one is enough

    def _run(self) -> None:
        if self._task is None and not self.outbox.ended:
            self._task = asyncio.get_running_loop().create_task(self._method.run(self))

    def _expire(self) -> None:
        self.expired = True
        self.end(grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded")
        if self._task is not None:
            self._task.cancel()

    def _credit(self) -> None:
        """Let the caller send more, unless too much of what it sent was not taken yet."""
        over = self._remote_ended or self.outbox.ended
        if self._owed >= WINDOW // 2 and self._held < WINDOW and not over:
            self._carrier.flow.write(window_update(self.id, self._owed))
            self._owed = 0

    def _wake(self) -> None:
        if self._arrived is not None and not self._arrived.done():
            self._arrived.set_result(None)

    def _close(self) -> None:
        self._stop_timer()
        if not self._remote_ended:
            self._carrier.flow.write(reset(self.id, NO_ERROR))
        self._carrier.forget(self, answered=True)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
