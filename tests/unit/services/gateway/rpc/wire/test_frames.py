from __future__ import annotations

import hpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.rpc.wire import frames


@given(st.lists(st.tuples(st.binary(min_size=1, max_size=200), st.binary(max_size=20_000)), max_size=5))
def test_fields_are_what_a_decoder_reads(pairs: list[tuple[bytes, bytes]]) -> None:
    decoder = hpack.Decoder(max_header_list_size=10**6)
    assert [tuple(pair) for pair in decoder.decode(frames.fields(pairs), raw=True)] == pairs
    assert not decoder.header_table.dynamic_entries


@pytest.mark.parametrize(("payload", "plain"), [(b"\x00ab", b"ab"), (b"\x02ab\0\0", b"ab"), (b"\x00", b"")])
def test_padding_is_taken_off(payload: bytes, plain: bytes) -> None:
    assert frames.unpadded(payload) == plain


@pytest.mark.parametrize("payload", [b"", b"\x01", b"\x05abcd"])
def test_padding_is_not_longer_than_its_frame(payload: bytes) -> None:
    with pytest.raises(frames.ViolationError):
        frames.unpadded(payload)
