"""The messages of one call, put together from the bytes that come."""

from __future__ import annotations

import struct

from services.errors import PayloadTooLarge, Unsupported
from services.unpacking import FORMATS, unpacked

PREFIX = struct.Struct(">BI")
"""Before every message: whether it is compressed, and its length."""


class Inbox:
    """Takes bytes and gives whole messages."""

    __slots__ = ("_buffer", "_encoding", "_limit")

    def __init__(self, encoding: bytes, limit: int) -> None:
        """`encoding` is how messages are compressed where they are; none may be larger than `limit` bytes."""
        self._buffer = bytearray()
        self._encoding = encoding
        self._limit = limit

    @property
    def is_empty(self) -> bool:
        """Whether no message has begun."""
        return not self._buffer

    def feed(self, data: bytes) -> list[bytes]:
        """The messages that `data` completes. Raises PayloadTooLarge, InvalidInput or Unsupported."""
        if not self._buffer and len(data) >= PREFIX.size:
            compressed, size = PREFIX.unpack_from(data)
            if size == len(data) - PREFIX.size <= self._limit:  # nearly always
                return [self._plain(data[PREFIX.size :], compressed)]
        buffer = self._buffer
        buffer += data
        messages = []
        start = 0
        while len(buffer) - start >= PREFIX.size:
            compressed, size = PREFIX.unpack_from(buffer, start)
            if size > self._limit:
                raise PayloadTooLarge(f"The message is larger than {self._limit} bytes.")
            end = start + PREFIX.size + size
            if end > len(buffer):
                break
            messages.append(self._plain(bytes(buffer[start + PREFIX.size : end]), compressed))
            start = end
        del buffer[:start]
        return messages

    def _plain(self, message: bytes, compressed: int) -> bytes:
        if not compressed:
            return message
        encoding = self._encoding.decode("latin-1")
        if encoding not in FORMATS or compressed > 1:
            raise Unsupported("The message is compressed in a way that is not one of gzip, deflate and identity.")
        return unpacked(message, encoding, self._limit, "The message")
