from __future__ import annotations

import gzip
import tracemalloc
import zlib

import pytest

from services.errors import InvalidInput, PayloadTooLarge
from services.gateway.oip.compression import decompressed


def test_gzip_deflate_and_identity() -> None:
    for encoding, body in (("gzip", gzip.compress(b"{}")), ("deflate", zlib.compress(b"{}")), ("identity", b"{}")):
        assert decompressed(body, encoding, 2) == b"{}"


def test_a_bomb_is_not_unpacked() -> None:
    bomb = gzip.compress(b"\0" * 2**26)
    tracemalloc.start()
    try:
        with pytest.raises(PayloadTooLarge, match="larger than 1000 bytes"):
            decompressed(bomb, "gzip", 1000)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2**20


@pytest.mark.parametrize(
    ("body", "encoding", "words"),
    [
        (b"{}", "br", "'br' is not one of gzip"),
        (b"{}", "gzip", "not what gzip makes"),
        (gzip.compress(b"{}")[:-1], "gzip", "not one whole gzip stream"),
        (gzip.compress(b"{}") + b"x", "gzip", "not one whole gzip stream"),
        (b"", "deflate", "not one whole deflate stream"),
    ],
)
def test_broken_bodies_are_refused(body: bytes, encoding: str, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        decompressed(body, encoding, 1000)
