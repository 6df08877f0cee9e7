"""Bodies that come compressed, as tritonclient sends them when asked to; never larger than a plain one may be."""

from __future__ import annotations

import zlib

from services.errors import InvalidInput, PayloadTooLarge

_WINDOW_BITS = {"gzip": 31, "deflate": 15}
"""zlib's name for each format of `Content-Encoding`."""


def decompressed(body: bytes, encoding: str, limit: int) -> bytes:
    """`body`, unpacked. Raises InvalidInput for an unknown encoding or a broken body, PayloadTooLarge past `limit`."""
    if encoding == "identity":
        return body
    bits = _WINDOW_BITS.get(encoding)
    if bits is None:
        raise InvalidInput(
            f"Content-Encoding: {encoding[:40]!r} is not one of gzip, deflate and identity.", param="Content-Encoding"
        )
    unpacking = zlib.decompressobj(bits)
    try:
        plain = unpacking.decompress(body, limit + 1)
    except zlib.error:
        raise InvalidInput(f"The body is not what {encoding} makes.", param="Content-Encoding") from None
    if len(plain) > limit:
        raise PayloadTooLarge(f"The request body is larger than {limit} bytes when it is unpacked.")
    if not unpacking.eof or unpacking.unused_data:
        raise InvalidInput(f"The body is not one whole {encoding} stream.", param="Content-Encoding")
    return plain
