from __future__ import annotations

import asyncio
from typing import Any, cast

import httptools
import pytest

from services.gateway.streamed import ConnectionLost, Silent, StreamedAnswer

PATIENCE = 10.0
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
END = b"0\r\n\r\n"


class Transport:
    """Says whether it is read."""

    paused = False

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def begun(idle_timeout: float = PATIENCE) -> tuple[StreamedAnswer, Transport]:
    transport = Transport()
    answer = StreamedAnswer(cast("Any", transport), idle_timeout)
    answer.feed(HEAD)
    return answer, transport


async def waits(answer: StreamedAnswer) -> asyncio.Task[bytes]:
    """Somebody who waits for the next piece."""
    reading = asyncio.ensure_future(anext(answer.iter_any()))
    await asyncio.sleep(0)
    return reading


async def test_head_and_body() -> None:
    answer, _ = begun()
    await answer.begin()
    assert (answer.status, answer.headers["content-type"]) == (200, "text/event-stream")
    answer.feed(chunk(b"one ") + chunk(b"two ")[:5])
    answer.feed(chunk(b"two ")[5:] + chunk(b"three") + END)
    assert await answer.read() == b"one two three"
    assert answer.complete
    assert answer.keeps_alive


async def test_pieces_that_came_together_are_read_together() -> None:
    answer, _ = begun()
    answer.feed(chunk(b"a") + chunk(b"b"))
    answer.feed(chunk(b"c"))
    reading = answer.iter_any()
    assert await anext(reading) == b"abc"
    answer.feed(chunk(b"d") + END)
    assert [piece async for piece in reading] == [b"d"]


async def test_what_is_taken_wakes_nobody_and_what_is_declined_is_read_in_order() -> None:
    answer, _ = begun()
    seen: list[bytes] = []

    def taker(piece: bytes) -> bool:
        if piece == b"no":
            return False
        seen.append(piece)
        return True

    answer.offer_to(taker)
    answer.feed(chunk(b"0"))  # nobody waits yet
    reading = answer.iter_any()
    seen.append(await anext(reading))
    waiting = asyncio.ensure_future(anext(reading))
    await asyncio.sleep(0)
    answer.feed(chunk(b"1"))
    answer.feed(chunk(b"2") + chunk(b"3"))
    assert not waiting.done()
    answer.feed(chunk(b"no"))
    answer.feed(chunk(b"4"))  # behind one that is yet to be read
    seen.append(await waiting)
    assert seen == [b"0", b"1", b"23", b"no4"]
    waiting = asyncio.ensure_future(anext(reading))
    await asyncio.sleep(0)
    answer.feed(chunk(b"5") + END)
    with pytest.raises(StopAsyncIteration):
        await waiting
    assert seen[-1] == b"5"


async def test_nothing_is_offered_once_it_is_left() -> None:
    answer, _ = begun()
    answer.offer_to(lambda _: pytest.fail("nobody is there"))
    reading = await waits(answer)
    answer.end()
    with pytest.raises(httptools.HttpParserError):
        answer.feed(chunk(b"late"))
    reading.cancel()


async def test_unread_pieces_stop_the_reading() -> None:
    answer, transport = begun()
    piece = b"x" * 2**16
    fed = 0
    while not transport.paused:
        answer.feed(chunk(piece))
        fed += 1
    assert fed < 10
    assert await anext(answer.iter_any()) == piece * fed
    assert not transport.paused


async def test_connection_that_is_left_with_unread_pieces_can_be_read_again() -> None:
    answer, transport = begun()
    answer.feed(chunk(b"x" * 2**20))
    assert transport.paused
    answer.end()
    assert not transport.paused


async def test_loss_is_told_behind_what_came() -> None:
    answer, _ = begun()
    answer.feed(chunk(b"half"))
    answer.fail(ConnectionLost(answer_begun=True))
    reading = answer.iter_any()
    assert await anext(reading) == b"half"
    with pytest.raises(ConnectionLost):
        await anext(reading)


async def test_loss_before_the_head() -> None:
    answer = StreamedAnswer(cast("Any", Transport()), PATIENCE)
    answer.fail(ConnectionLost(answer_begun=False))
    with pytest.raises(ConnectionLost):
        await answer.begin()


async def test_silence_is_told() -> None:
    answer, _ = begun(idle_timeout=0.05)
    with pytest.raises(Silent):
        await anext(answer.iter_any())


async def test_a_stream_that_is_not_silent_may_take_long() -> None:
    answer, _ = begun(idle_timeout=0.2)
    answer.offer_to(lambda _: True)
    reading = await waits(answer)
    for _ in range(30):
        await asyncio.sleep(0.01)
        answer.feed(chunk(b"x"))
    assert not reading.done()
    with pytest.raises(Silent):
        await reading


async def test_silence_of_one_that_is_not_read_is_none() -> None:
    answer, _ = begun(idle_timeout=0.02)
    answer.feed(chunk(b"x" * 2**20))
    await asyncio.sleep(0.1)
    reading = answer.iter_any()
    assert await anext(reading) == b"x" * 2**20
    answer.feed(END)
    assert [piece async for piece in reading] == []


async def test_more_than_was_asked_for_is_an_error() -> None:
    answer, _ = begun()
    answer.feed(END)
    with pytest.raises(httptools.HttpParserError):
        answer.feed(HEAD)
