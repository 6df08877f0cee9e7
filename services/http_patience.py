"""How long a connection waits for its client: for a head, for a body, for room to write, and between two requests.

uvicorn bounds none but the last, with a timer after every answer that the next request stops. Here a connection looks at itself now and then.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any, ClassVar

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

if TYPE_CHECKING:
    import asyncio


class Patience(HttpToolsProtocol):
    """One connection of a client, given up when that client lets it down."""

    look_seconds: ClassVar[float] = 15.0
    """Time between two looks at the connection. What has not come from one look to the next but one is given up."""
    slowest: ClassVar[float] = 512.0
    """Bytes a second that a body has to bring."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._received = 0
        """Bytes so far."""
        self._awaited: object | None = None
        self._received_by_then = 0
        self._timer: asyncio.TimerHandle | None = None
        self._rests = False
        """Whether every request has been answered and no other has begun."""
        self._unread = 0
        """Bytes that the client had not taken at the last look; 0 when they were few, or it has read since."""
        self._answered = 0
        self._answered_by_then = 0
        self._rest_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._timer = self.loop.call_later(self.look_seconds, self._look)
        self._rest_timer = self.loop.call_later(self.timeout_keep_alive, self._end_rest)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        for timer in (self._timer, self._rest_timer):
            if timer is not None:
                timer.cancel()

    def resume_writing(self) -> None:
        self._unread = 0
        super().resume_writing()

    def _end_rest(self) -> None:
        """Close the connection when it has rested since the last call, which was `timeout_keep_alive` ago."""
        if self._rests and self._answered == self._answered_by_then:
            self.transport.close()
            return
        self._answered_by_then = self._answered
        self._rest_timer = self.loop.call_later(self.timeout_keep_alive, self._end_rest)

    def _look(self) -> None:
        """Give the connection up when the client owes the same as at the last look, or has read nothing since."""
        if self._is_stuck():
            self.transport.abort()
            return
        owed = self._owed()
        if owed is None or owed is not self._awaited or self._advances():
            self._awaited = owed
            self._received_by_then = self._received
            self._timer = self.loop.call_later(self.look_seconds, self._look)
        elif self._in_head() or self._is_working():
            self._refuse(HTTPStatus.REQUEST_TIMEOUT)
        else:
            self.transport.close()

    def _owed(self) -> object | None:
        """What stands for what the client has yet to send; None while it waits for us, or rests for as long as it may."""
        if self._is_working():
            return self.cycle if self.cycle.more_body and not self.flow.read_paused else None
        return None if self._rests else self.scope or self

    def _is_stuck(self) -> bool:
        """Whether the client takes nothing of what is written to it, though nothing is added: closing would wait for it."""
        before, self._unread = self._unread, 0
        if self.flow.write_paused or self.transport.is_closing():
            self._unread = self.transport.get_write_buffer_size()
        return 0 < before <= self._unread

    def _advances(self) -> bool:
        """Whether a body comes fast enough."""
        enough = self.slowest * self.look_seconds
        return self._is_working() and self._received - self._received_by_then >= enough

    def _is_working(self) -> bool:
        """Whether a request is being answered."""
        return self.cycle is not None and not self.cycle.response_complete

    def _in_head(self) -> bool:
        """Whether a request has begun whose head is not complete."""
        return self.scope is not None and (self.cycle is None or self.cycle.scope is not self.scope)

    def _refuse(self, status: HTTPStatus) -> None:
        """Close the connection, with an answer unless another is half out."""
        if not self.transport.is_closing() and not (self._is_working() and self.cycle.response_started):
            body = status.phrase.encode()
            head = f"HTTP/1.1 {status} {status.phrase}\r\ncontent-type: text/plain\r\ncontent-length: {len(body)}\r\n"
            self.transport.write(head.encode() + b"connection: close\r\n\r\n" + body)
        self.transport.close()
