"""A whole answer in one write, which uvicorn would make in two, each a system call that wakes the reader.

It is offered to the app as an ASGI extension, and does at once what `RequestResponseCycle.send` does in two calls.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

    from services.asgi import Header

_LARGE = 64 * 1024
"""Bytes from which on a copy of the body costs more than a second write."""


def answer_at_once(cycle: RequestResponseCycle, status: int, body: bytes, headers: Iterable[Header]) -> bool:
    """Answer the request of `cycle`; False, with nothing written, where that is for the ordinary way to do.

    Which is: to a HEAD request, to a client that left or does not read, and when a header holds a line break.
    """
    if cycle.response_started or cycle.disconnected or cycle.flow.write_paused or cycle.scope["method"] == "HEAD":
        return False
    keeps = cycle.keep_alive
    parts = [STATUS_LINE[status], b"content-length: %d\r\n" % len(body)]
    lines = 3
    for name, value in (*cycle.default_headers, *headers):
        if name == b"connection":
            keeps = keeps and value != b"close"
            continue
        parts += (name, b": ", value, b"\r\n")
        lines += 1
    if not keeps:
        parts.append(b"connection: close\r\n")
        lines += 1
    parts.append(b"\r\n")
    head = b"".join(parts)
    if head.count(b"\n") != lines or head.count(b"\r") != lines:
        return False
    cycle.waiting_for_100_continue = False
    cycle.response_started = cycle.response_complete = True
    cycle.chunked_encoding = False
    cycle.keep_alive = keeps
    if len(body) < _LARGE:
        cycle.transport.write(head + body)
    else:
        cycle.transport.write(head)
        cycle.transport.write(body)
    cycle.message_event.set()
    cycle.scope.pop("extensions")  # which leads back to `cycle`: the collector would have to find that out
    if not keeps:
        cycle.transport.close()
    cycle.on_response()
    return True
