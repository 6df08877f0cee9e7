from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.rpc.wire import frames
from services.gateway.rpc.wire.frames import PREFACE, ViolationError, frame
from services.gateway.rpc.wire.reader import LARGEST_READ, LONGEST_BLOCK, FrameReader

HELLO = PREFACE + frames.settings({})
END = frames.END_HEADERS
BEGUN = frame(frames.HEADERS, 0, 1, b"abc")


def read(*pieces: bytes) -> list[tuple[int, int, int, bytes]]:
    reader = FrameReader()
    return [found for piece in pieces for found in reader.feed(piece)]


@given(st.sets(st.integers(0, 90), max_size=10))
def test_frames_come_whole_however_they_are_cut(cuts: set[int]) -> None:
    wire = HELLO + BEGUN + frame(frames.CONTINUATION, END, 1, b"def") + frame(frames.DATA, 1, 1, b"x" * 20)
    edges = [0, *sorted(cut for cut in cuts if cut < len(wire)), len(wire)]
    found = read(*(wire[start:end] for start, end in pairwise(edges)))
    assert found == [(frames.SETTINGS, 0, 0, b""), (frames.HEADERS, 0, 1, b"abcdef"), (frames.DATA, 1, 1, b"x" * 20)]


def test_a_block_comes_without_padding_and_priority() -> None:
    flags = END | frames.PADDED | frames.PRIORITISED
    assert read(HELLO + frame(frames.HEADERS, flags, 1, b"\x02" + b"prior" + b"block" + b"\0\0"))[1][3] == b"block"


def test_the_reserved_bit_of_a_stream_means_nothing() -> None:
    assert read(HELLO + frame(frames.DATA, 0, 2**31 | 1))[1][2] == 1


@pytest.mark.parametrize(
    "wire",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        PREFACE + frame(frames.PING, 0, 0, bytes(8)),
        PREFACE + frame(frames.HEADERS, END, 1, b"x"),
        HELLO + frame(frames.DATA, 0, 1, bytes(LARGEST_READ + 1))[:9],
        HELLO + BEGUN + frame(frames.DATA, 0, 1, b"x"),
        HELLO + BEGUN + frame(frames.CONTINUATION, END, 3, b"x"),
        HELLO + BEGUN + frame(frames.CONTINUATION, 0, 1, b""),
        HELLO + frame(frames.CONTINUATION, END, 1, b"x"),
        HELLO + BEGUN + frame(frames.CONTINUATION, 0, 1, bytes(LONGEST_BLOCK)),
        HELLO + frame(frames.HEADERS, END | frames.PADDED, 1, b"\x09x"),
    ],
)
def test_what_cannot_be_read_on_ends_the_connection(wire: bytes) -> None:
    with pytest.raises(ViolationError):
        read(wire)
