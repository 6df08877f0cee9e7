"""Compressed data that clients send, never larger unpacked than it might be plain."""

from __future__ import annotations

import zlib

from services.errors import InvalidInput, PayloadTooLarge

_WINDOW_BITS = {"gzip": 31, "deflate": 15}
"""zlib's name for each format."""
FORMATS = frozenset(_WINDOW_BITS)


def unpacked(data: bytes, how: str, limit: int, name: str, *, param: str | None = None) -> bytes:
    """`data` in one of `FORMATS`, unpacked; errors call it `name`, as at the start of a sentence.

    Raises InvalidInput when it is broken, PayloadTooLarge past `limit` bytes.
    """
    unpacking = zlib.decompressobj(_WINDOW_BITS[how])
    try:
        plain = unpacking.decompress(data, limit + 1)
    except zlib.error:
        raise InvalidInput(f"{name} is not what {how} makes.", param=param) from None
    if len(plain) > limit:
        raise PayloadTooLarge(f"{name} is larger than {limit} bytes when it is unpacked.")
    if not unpacking.eof or unpacking.unused_data:
        raise InvalidInput(f"{name} is not one whole {how} stream.", param=param)
    return plain
