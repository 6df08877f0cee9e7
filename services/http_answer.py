"""One request and its answer: uvicorn's own, made for half, and answered in one write.

uvicorn makes two writes of an answer, each a system call that wakes the reader. The one is offered to the app as an ASGI extension, and
does at once what `RequestResponseCycle.send` does in two calls; so is a body that has come in whole.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from services.asgi import SHORTCUT

if TYPE_CHECKING:
    from collections.abc import Iterable

    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

    from services.asgi import Header, Message
    from services.known_head import KnownHead

_LARGE = 64 * 1024
"""Bytes from which on a copy of the body costs more than a second write."""


class Cycle(RequestResponseCycle):
    """A request to a connection, and its answer: a `services.asgi.Shortcut`."""

    disconnected = False
    more_body = True
    response_started = False
    response_complete = False
    chunked_encoding: bool | None = None
    expected_content_length = 0

    def __init__(
        self,
        connection: HttpToolsProtocol,
        *,
        keep_alive: bool,
        known: KnownHead | None = None,
        body: bytes | None = None,
    ) -> None:
        """All that uvicorn's own has, which it takes one by one: the above is the same for every request. `known` is its head, where
        it came before, and `body` then all of its body.
        """
        self.known = known
        self.scope = connection.scope
        self.transport = connection.transport
        self.flow = connection.flow
        self.logger = connection.logger
        self.access_logger = connection.access_logger
        self.access_log = connection.access_log
        self.default_headers = connection.server_state.default_headers
        self.message_event = asyncio.Event()
        self.on_response = connection.on_response_complete
        self.keep_alive = keep_alive
        self.waiting_for_100_continue = connection.expect_100_continue
        if body is None:
            self.body = bytearray()
        else:
            self.body = body  # type: ignore[assignment]
            self.more_body = False
            self.message_event.set()
        self.scope["extensions"] = {SHORTCUT: self}  # type: ignore[dict-item]

    def whole_body(self) -> bytes | None:
        """The request's body, once; None where it is not all there yet, or the client has left."""
        if self.more_body or self.disconnected or self.response_complete:
            return None
        body, self.body = bytes(self.body), bytearray()
        self.message_event.clear()
        self.flow.resume_reading()  # so that a client that leaves is noticed
        return body

    def answer(self, status: int, body: bytes, headers: Iterable[Header], told: bytes = b"") -> bool:
        """Answer the request; False, with nothing written, where that is for the ordinary way to do.

        Which is: to a HEAD request, to a client that left or does not read, and when one of `headers` holds a line break or is about
        the connection. `told` is not looked at.
        """
        if self.response_started or self.disconnected or self.flow.write_paused or self.scope["method"] == "HEAD":
            return False
        if headers:
            lines = [b"%b: %b\r\n" % header for header in headers]
            written = b"".join(lines)
            if len(written.splitlines()) != len(lines) or b"connection:" in written:
                return False
            told += written
        end = b"\r\n" if self.keep_alive else b"connection: close\r\n\r\n"
        own = _written(self.default_headers)
        head = b"%bcontent-length: %d\r\n%b%b%b" % (STATUS_LINE[status], len(body), own, told, end)
        self.waiting_for_100_continue = False
        self.response_started = self.response_complete = True
        self.chunked_encoding = False
        if len(body) < _LARGE:
            self.transport.write(head + body)
        else:
            self.transport.write(head)
            self.transport.write(body)
        self.message_event.set()
        self._let_go()
        if not self.keep_alive:
            self.transport.close()
        self.on_response()
        return True

    async def send(self, message: Message) -> None:  # type: ignore[override]
        """The ordinary way."""
        await RequestResponseCycle.send(self, message)  # type: ignore[arg-type]
        if self.response_complete:
            self._let_go()

    def piece(self, body: bytes) -> bool:
        """Send one more piece of a chunked body; False, with nothing written, to a client that left or does not read. An empty piece
        would end the body, and is for the ordinary way.
        """
        if (
            not body
            or not self.chunked_encoding
            or self.response_complete
            or self.disconnected
            or self.flow.write_paused
            or self.transport.is_closing()
        ):
            return False
        self.transport.write(b"%x\r\n%b\r\n" % (len(body), body))
        return True

    def _let_go(self) -> None:
        """Of what leads from the scope back here: the collector would have to find that out."""
        self.scope.pop("extensions", None)


class _Written:
    """The headers of every answer, as they go out; uvicorn makes a new list of them each second, for the date."""

    def __init__(self) -> None:
        self._of: list[Header] = []
        self._lines = b""

    def __call__(self, headers: list[Header]) -> bytes:
        if headers is not self._of:
            self._of, self._lines = headers, b"".join([b"%b: %b\r\n" % header for header in headers])
        return self._lines


_written = _Written()
