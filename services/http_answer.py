"""One request and its answer: uvicorn's own, made for half, and answered in one write.

uvicorn makes two writes of an answer, each a system call that wakes the reader. The one is offered to the app as an ASGI extension,
and does at once what `RequestResponseCycle.send` does in two calls.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from services.asgi import ANSWER, PIECE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

    from services.asgi import Header, Message

_LARGE = 64 * 1024
"""Bytes from which on a copy of the body costs more than a second write."""


class Cycle(RequestResponseCycle):
    """A request to a connection, and its answer."""

    disconnected = False
    more_body = True
    response_started = False
    response_complete = False
    chunked_encoding = None
    expected_content_length = 0

    def __init__(self, connection: HttpToolsProtocol, keep_alive: bool) -> None:
        """All that uvicorn's own has, which it takes one by one: the above is the same for every request."""
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
        self.body = bytearray()
        self.scope["extensions"] = {ANSWER: self.answer, PIECE: self.piece}  # type: ignore[dict-item]

    def answer(self, status: int, body: bytes, headers: Iterable[Header]) -> bool:
        """Answer the request; False, with nothing written, where that is for the ordinary way to do.

        Which is: to a HEAD request, to a client that left or does not read, and when a header holds a line break or is about the
        connection.
        """
        if self.response_started or self.disconnected or self.flow.write_paused or self.scope["method"] == "HEAD":
            return False
        lines = [b"%b: %b\r\n" % header for header in (*self.default_headers, *headers)]
        told = b"".join(lines)
        if len(told.splitlines()) != len(lines) or b"connection:" in told:
            return False
        end = b"\r\n" if self.keep_alive else b"connection: close\r\n\r\n"
        head = b"%bcontent-length: %d\r\n%b%b" % (STATUS_LINE[status], len(body), told, end)
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
        ):
            return False
        self.transport.write(b"%x\r\n%b\r\n" % (len(body), body))
        return True

    def _let_go(self) -> None:
        """Of what leads from the scope back here: the collector would have to find that out."""
        self.scope.pop("extensions", None)
