"""Server-sent events, as far as the data plane reads them itself."""

from __future__ import annotations

import msgspec

from services.errors import Unavailable


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
