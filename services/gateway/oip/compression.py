"""Bodies that come compressed, as tritonclient sends them when asked to."""

from __future__ import annotations

from services.errors import InvalidInput
from services.unpacking import FORMATS, unpacked

_HEADER = "Content-Encoding"


def decompressed(body: bytes, encoding: str, limit: int) -> bytes:
    """`body`, unpacked. Raises InvalidInput for an unknown encoding or a broken body, PayloadTooLarge past `limit`."""
    if encoding == "identity":
        return body
    if encoding not in FORMATS:
        raise InvalidInput(f"{_HEADER}: {encoding[:40]!r} is not one of gzip, deflate and identity.", param=_HEADER)
    return unpacked(body, encoding, limit, "The request body", param=_HEADER)
