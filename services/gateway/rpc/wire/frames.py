"""HTTP/2 frames as bytes: https://www.rfc-editor.org/rfc/rfc9113, and header fields: https://www.rfc-editor.org/rfc/rfc7541."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
"""What every client says first."""

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
"""Kinds of frame."""

END_STREAM = ACK = 0x01
END_HEADERS = 0x04
PADDED = 0x08
PRIORITISED = 0x20
"""Flags."""

NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR = range(4)
STREAM_CLOSED, FRAME_SIZE_ERROR, REFUSED_STREAM = 5, 6, 7
CANCEL, COMPRESSION_ERROR, ENHANCE_YOUR_CALM = 8, 9, 11
"""Error codes."""

MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE, MAX_HEADER_LIST_SIZE = range(3, 7)
"""Settings."""

HEAD = struct.Struct(">HBBBI")
"""A frame's head: the length's upper two bytes and its last, kind, flags, stream."""
SETTING = struct.Struct(">HI")
NUMBER = struct.Struct(">I")
DEFAULT_WINDOW = 65_535
DEFAULT_FRAME = 16_384
LARGEST_WINDOW = 2**31 - 1
LARGEST_FRAME = 2**24 - 1

_SEVEN_BITS = 0x7F


class ViolationError(Exception):
    """The peer broke the protocol in a way that the connection does not survive."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """One frame."""
    size = len(payload)
    return HEAD.pack(size >> 8, size & 0xFF, kind, flags, stream) + payload


def settings(values: dict[int, int]) -> bytes:
    """A SETTINGS frame."""
    return frame(SETTINGS, 0, 0, b"".join(SETTING.pack(*pair) for pair in values.items()))


def window_update(stream: int, size: int) -> bytes:
    """A WINDOW_UPDATE frame: `size` more bytes may come."""
    return frame(WINDOW_UPDATE, 0, stream, NUMBER.pack(size))


def reset(stream: int, code: int) -> bytes:
    """A RST_STREAM frame."""
    return frame(RST_STREAM, 0, stream, NUMBER.pack(code))


def go_away(last_stream: int, code: int, reason: str = "") -> bytes:
    """A GOAWAY frame: nothing past `last_stream` was looked at."""
    return frame(GOAWAY, 0, 0, NUMBER.pack(last_stream) + NUMBER.pack(code) + reason.encode())


def fields(pairs: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Header fields, none of them kept in the peer's table: what is sent never depends on what was."""
    return b"".join(b"\x00" + _string(name) + _string(value) for name, value in pairs)


def refusal(status: int, message: bytes) -> bytes:
    """The fields that answer a call with nothing but a gRPC status."""
    said = ((b"grpc-status", b"%d" % status), (b"grpc-message", message))
    return fields(((b":status", b"200"), (b"content-type", b"application/grpc"), *said))


def number(payload: bytes) -> int:
    """The one number of a payload. Raises ViolationError."""
    if len(payload) != NUMBER.size:
        raise ViolationError(FRAME_SIZE_ERROR, "a frame of a wrong size")
    found: int = NUMBER.unpack(payload)[0]
    return found


def unpadded(payload: bytes) -> bytes:
    """The payload of a frame that is PADDED. Raises ViolationError."""
    if not payload or payload[0] >= len(payload):
        raise ViolationError(PROTOCOL_ERROR, "more padding than frame")
    return payload[1 : len(payload) - payload[0]]


def _string(text: bytes) -> bytes:
    size = len(text)
    if size < _SEVEN_BITS:
        return bytes((size,)) + text
    head = bytearray((_SEVEN_BITS,))
    size -= _SEVEN_BITS
    while size > _SEVEN_BITS:
        head.append(0x80 | size & _SEVEN_BITS)
        size >>= 7
    head.append(size)
    return bytes(head) + text
