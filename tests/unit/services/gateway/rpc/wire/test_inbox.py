from __future__ import annotations

import gzip
import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.errors import InvalidInput, PayloadTooLarge, ServingError, Unsupported
from services.gateway.rpc.wire.inbox import Inbox


def framed(message: bytes, compressed: int = 0) -> bytes:
    return struct.pack(">BI", compressed, len(message)) + message


@given(st.lists(st.binary(max_size=300), max_size=5), st.data())
def test_messages_come_whole_however_they_are_cut(messages: list[bytes], data: st.DataObject) -> None:
    wire = b"".join(framed(message) for message in messages)
    cuts = sorted(data.draw(st.sets(st.integers(0, len(wire)), max_size=8)))
    inbox = Inbox(b"identity", 300)
    found = []
    for start, end in zip([0, *cuts], [*cuts, len(wire)], strict=True):
        found += inbox.feed(wire[start:end])
    assert found == messages
    assert inbox.is_empty


def test_half_a_message_is_none() -> None:
    inbox = Inbox(b"identity", 100)
    assert inbox.feed(framed(b"hello")[:-1]) == []
    assert not inbox.is_empty


@pytest.mark.parametrize(("encoding", "pack"), [(b"gzip", gzip.compress), (b"deflate", zlib.compress)])
def test_compressed_and_plain_messages_mix(encoding: bytes, pack: object) -> None:
    assert callable(pack)
    assert Inbox(encoding, 100).feed(framed(pack(b"a" * 100), 1) + framed(b"plain")) == [b"a" * 100, b"plain"]


@pytest.mark.parametrize(
    ("encoding", "wire", "error"),
    [
        (b"identity", struct.pack(">BI", 0, 101), PayloadTooLarge),
        (b"identity", framed(b"x" * 101), PayloadTooLarge),
        (b"gzip", framed(gzip.compress(b"a" * 101), 1), PayloadTooLarge),
        (b"gzip", framed(b"no gzip", 1), InvalidInput),
        (b"gzip", framed(gzip.compress(b"a")[:-1], 1), InvalidInput),
        (b"identity", framed(b"x", 1), Unsupported),
        (b"snappy", framed(b"x", 1), Unsupported),
        (b"gzip", framed(b"x", 2), Unsupported),
    ],
)
def test_what_cannot_be_a_message_is_refused(encoding: bytes, wire: bytes, error: type[ServingError]) -> None:
    with pytest.raises(error):
        Inbox(encoding, 100).feed(wire)
