"""What goes over a channel: the pieces of many streams, on one connection from a dependency to a gateway.

A token of sixty-four streams at once is sixty-four writes, reads and wake-ups of a process over as many connections, and one over a
channel. The gateway opens it, with a request whose answer does not end, and names it in the requests whose streams may take it; the
answer's head says whether one does, and comes over its own connection, as do its end and whatever the channel has no room for.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

CHANNEL_PATH = "/_tandem/channel"
"""Where a gateway opens one; the answer's `CHANNEL_HEADER` is its name."""
CHANNEL_HEADER = "x-tandem-channel"
"""Of a request: name of the channel and number of the stream, with a slash between. Of an answer: `TAKEN`."""
TAKEN = "taken"
"""The pieces of this answer come over the channel."""

_HEAD = Struct("<II")
"""Number of a stream and bytes of the piece."""
HEAD_SIZE = _HEAD.size
"""Bytes before each piece."""


def frame(number: int, piece: bytes) -> bytes:
    """One piece of the stream `number`; an empty one says that no more of it come over the channel."""
    return _HEAD.pack(number, len(piece)) + piece


def frames_in(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The whole frames with which `data` begins."""
    at, size = 0, len(data)
    while size - at >= HEAD_SIZE:
        number, length = _HEAD.unpack_from(data, at)
        begin = at + HEAD_SIZE
        at = begin + length
        if at > size:
            return
        yield number, data[begin:at]
