"""Streams, requests and channels that end otherwise than they should, and whom that concerns."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from services.channel import CHANNEL_HEADER, TAKEN
from services.gateway.hop import Connection
from services.gateway.streamed import ConnectionLost, StreamedAnswer
from tests.integration.channel.hop import PIECES, Hop, Lost
from tests.waiting import until


async def test_a_stream_that_fails_half_way_says_so_alone(hop: Hop) -> None:
    hop.engine.turn.clear()
    good = asyncio.ensure_future(hop.read())
    await hop.under_way(1)
    hop.engine.fails_after = 2
    bad = asyncio.ensure_future(hop.read())
    await hop.under_way(2)
    hop.engine.turn.set()
    with pytest.raises(Lost):
        await bad
    assert await good == b"".join(PIECES)


async def test_one_that_leaves_ends_its_stream_alone(hop: Hop) -> None:
    hop.engine.turn.clear()
    staying = asyncio.ensure_future(hop.read())
    await hop.under_way(1)
    async with hop.stream():
        await hop.under_way(2)
    await hop.under_way(1)
    hop.engine.turn.set()
    assert await staying == b"".join(PIECES)
    assert not hop.channel._seats


async def test_a_channel_that_breaks_takes_its_streams_along_and_is_opened_again(
    hop: Hop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.gateway.channel._AGAIN_SECONDS", 0.0)
    hop.engine.turn.clear()
    reading = [asyncio.ensure_future(hop.read()) for _ in range(3)]
    await hop.under_way(3)
    await hop.channel.close()
    for one in reading:
        with pytest.raises(Lost):
            await one
    await hop.under_way(0)
    hop.engine.turn.set()
    assert await hop.read() == b"".join(PIECES)
    await hop.opened()
    async with hop.stream() as answer:
        assert answer.headers[CHANNEL_HEADER] == TAKEN
        assert await answer.read() == b"".join(PIECES)


async def test_a_request_that_is_sent_again_takes_no_channel(hop: Hop, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Connection] = []
    answers: list[StreamedAnswer] = []
    stream = Connection.stream

    async def noting(self: Connection, *arguments: Any) -> StreamedAnswer:
        made.append(self)
        answers.append(await stream(self, *arguments))
        return answers[-1]

    monkeypatch.setattr(Connection, "stream", noting)
    hop.engine.may_begin.clear()
    reading = asyncio.ensure_future(hop.read())
    await until(lambda: hop.engine.began == 2)
    made[0].close()
    await until(lambda: hop.engine.began == 3)
    hop.engine.may_begin.set()
    assert await reading == b"".join(PIECES)
    assert len(made) == 2
    assert CHANNEL_HEADER not in answers[-1].headers


async def test_a_process_that_is_asked_to_stop_finishes_what_goes_over_it(hop: Hop) -> None:
    hop.engine.turn.clear()
    reading = [asyncio.ensure_future(hop.read()) for _ in range(3)]
    await hop.under_way(3)
    hop.channels.close()
    hop.engine.pieces = PIECES * 1000
    late = asyncio.ensure_future(hop.read())
    await hop.under_way(4)
    hop.engine.turn.set()
    assert set(await asyncio.gather(*reading)) == {b"".join(PIECES)}
    await until(lambda: not hop.channel._name)
    assert not late.done(), "it came too late for the channel, and goes on without it"
    assert await late == b"".join(PIECES * 1000)
    hop.engine.pieces = PIECES
    assert await hop.read() == b"".join(PIECES)


async def test_one_that_cannot_take_its_pieces_is_failed_alone(hop: Hop) -> None:
    def broken(_: bytes) -> bool:
        raise RuntimeError("the transport is closed")

    hop.engine.turn.clear()
    good = asyncio.ensure_future(hop.read())
    await hop.under_way(1)
    async with hop.stream() as bad:
        await hop.under_way(2)
        bad.offer_to(broken)
        reading = asyncio.ensure_future(bad.read())
        await asyncio.sleep(0)
        hop.engine.turn.set()
        with pytest.raises(ConnectionLost):
            await reading
    assert await good == b"".join(PIECES)
    assert hop.channel._name


async def test_a_seat_whose_channel_was_lost_before_its_request_went_out_says_so(hop: Hop) -> None:
    seat = hop.channel.seat()
    seat.lose()
    answer = StreamedAnswer(cast("asyncio.Transport", None), 5)
    seat.take(answer)
    answer.feed(b"HTTP/1.1 200 OK\r\n%b: %b\r\n\r\n" % (CHANNEL_HEADER.encode(), TAKEN.encode()))
    with pytest.raises(ConnectionLost):
        await answer.begin()
