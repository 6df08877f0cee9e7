from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.control.metering import Meter, MeteredContent
from services.gateway.control.work import NO_LINE, Work
from tests.fake_llm import chat_events
from tests.metrics import make_metrics

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from services.gateway.streamed import Taker

USAGE = b'data: {"choices": [], "usage": {"total_tokens": 31}}\n\n'


class Counting(Work):
    """Keeps what it is told."""

    told: list[int] = msgspec.field(default_factory=list)

    def used(self, tokens: int) -> None:
        self.told.append(tokens)


class Pieces:
    def __init__(self, *pieces: bytes) -> None:
        self._pieces = pieces

    async def iter_any(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            yield piece

    def offer_to(self, taker: Taker) -> None:
        self.taker = taker


async def metered(*pieces: bytes, hide: bool = True) -> tuple[bytes, list[int]]:
    work = Counting()
    meter = Meter(work, make_metrics().generation("chat", "m", NO_LINE), 10)
    content: Any = MeteredContent(Pieces(*pieces), meter, hide=hide)
    return b"".join([piece async for piece in content.iter_any()]), work.told


@given(st.lists(st.integers(0, 400), max_size=8), st.booleans())
async def test_stream_is_the_same_however_it_was_cut(cuts: list[int], hide: bool) -> None:
    events = chat_events("It", " is", ' "usage"')
    whole = b"".join((*events[:-1], USAGE, events[-1]))
    at = [0, *sorted(min(cut, len(whole)) for cut in cuts), len(whole)]
    passed, told = await metered(*(whole[a:b] for a, b in itertools.pairwise(at)), hide=hide)
    assert passed == (b"".join(events) if hide else whole)
    assert told[-1] == 31


async def test_stream_that_is_cut_has_cost_its_prompt_and_its_events() -> None:
    passed, told = await metered(*chat_events("It", " is")[:2], b'data: {"cut')
    assert passed.endswith(b'data: {"cut')
    assert told[-1] == 12


async def test_usage_beside_an_answer_is_never_hidden() -> None:
    event = b"data: " + json.dumps({"choices": [{"delta": {}}], "usage": {"total_tokens": 5}}).encode() + b"\n\n"
    passed, told = await metered(event)
    assert passed == event
    assert told == [5]


@pytest.mark.parametrize("pieces", [(), (b"",)])
async def test_empty_stream(pieces: tuple[bytes, ...]) -> None:
    assert await metered(*pieces) == (b"", [])


async def test_words_are_offered_past_the_reader_and_counted_once_they_are_taken() -> None:
    opening, word, _ = chat_events("It", " is")
    work = Counting()
    pieces = Pieces(opening, word[:9])
    content = MeteredContent(pieces, Meter(work, make_metrics().generation("chat", "m", NO_LINE), 10), hide=True)
    taken: list[bytes] = []
    takes = True

    def taker(piece: bytes) -> bool:
        if takes:
            taken.append(piece)
        return takes

    content.offer_to(taker)
    assert pieces.taker(word)
    assert not pieces.taker(USAGE)
    assert not pieces.taker(word[:9])
    assert not pieces.taker(b"data: [DONE]\n\n")
    takes = False
    assert not pieces.taker(word)
    assert (taken, work.told) == ([word], [11])
    takes = True
    reading = content.iter_any()
    assert await anext(reading) == opening
    assert await anext(reading) == word[:9]
    assert not pieces.taker(word)  # it would come between the halves of an event
    assert work.told == [11, 12]
