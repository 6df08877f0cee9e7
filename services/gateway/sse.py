"""Server-sent events, as far as the data plane reads them itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from services.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from services.gateway.streamed import Content


async def lines_of(content: Content) -> AsyncIterator[bytes]:
    """The lines of an answer, as they come."""
    rest = b""
    async for piece in content.iter_any():
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            yield line
    if rest:
        yield rest


def text_of(line: bytes) -> str:
    """The piece of text in one line of a chat completion's event stream; "" for every other line.

    Raises Unavailable when the line reports a failure or cannot be read.
    """
    if not line.startswith(b"data: {"):
        return ""
    try:
        event = msgspec.json.decode(line[6:])
        choices = event.get("choices")
        if "error" not in event:
            return (choices[0]["delta"].get("content") or "") if choices else ""
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, KeyError, TypeError, AttributeError):
        raise Unavailable("The language model sent an event that cannot be read.") from None
    raise Unavailable("The language model failed on this request.")
