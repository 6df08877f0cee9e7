from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from services.channel import frame, frames_in

FRAMES = st.lists(st.tuples(st.integers(0, 2**32 - 1), st.binary(max_size=40)), max_size=20)


@given(FRAMES, st.lists(st.integers(1, 30), min_size=1, max_size=10))
def test_frames_come_out_as_they_went_in_wherever_reads_cut_them(
    frames: list[tuple[int, bytes]], cuts: list[int]
) -> None:
    data = b"".join(frame(number, piece) for number, piece in frames)
    found: list[tuple[int, bytes]] = []
    rest, at, turn = b"", 0, 0
    while at < len(data):
        size = cuts[turn % len(cuts)]
        rest += data[at : at + size]
        at, turn = at + size, turn + 1
        whole = list(frames_in(rest))
        rest = rest[sum(len(frame(*one)) for one in whole) :]
        found += whole
    assert found == frames
    assert not rest
