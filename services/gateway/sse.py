"""Server-sent events, as far as the data plane reads them itself."""

from __future__ import annotations

import msgspec


def text_of(line: bytes) -> str:
    """The piece of text in one line of a chat completion's event stream; "" for every other line."""
    if not line.startswith(b"data: {"):
        return ""
    choices = msgspec.json.decode(line[6:]).get("choices")
    return (choices[0]["delta"].get("content") or "") if choices else ""
