"""Clients that break the protocol, or keep it and ask too much: each loses a stream or the connection, and nothing else."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.rpc.wire import frames
from services.gateway.rpc.wire.connection import MOST_ABANDONED, MOST_STREAMS
from services.gateway.rpc.wire.frames import END_HEADERS, END_STREAM, fields, frame
from tests.unit.services.gateway.rpc.wire.client import CALL, Client, framed, resets, went_away

if TYPE_CHECKING:
    from collections.abc import Callable


async def test_more_calls_than_agreed_are_refused() -> None:
    client = Client()
    for number in range(MOST_STREAMS + 1):
        client.call(2 * number + 1, b"/wait", b"")
    assert resets(client.heard()) == {2 * MOST_STREAMS + 1: frames.REFUSED_STREAM}
    await client.settled()
    client.go.set()
    await client.settled()
    assert len(client.answers()) == MOST_STREAMS


async def test_who_opens_and_resets_without_end_is_sent_away() -> None:
    client = Client()
    for number in range(MOST_ABANDONED + 1):
        assert not client.transport.ended
        client.call(2 * number + 1, b"/wait", b"")
        client.say(frames.reset(2 * number + 1, 8))
    assert client.transport.ended == "closed"
    assert went_away(client.heard()) == frames.ENHANCE_YOUR_CALM


async def test_who_changes_its_settings_without_end_is_sent_away() -> None:
    client = Client()
    client.say(*[frames.settings({frames.INITIAL_WINDOW_SIZE: number}) for number in range(1001)])
    assert went_away(client.heard()) == frames.ENHANCE_YOUR_CALM


@given(
    st.lists(
        st.tuples(
            st.integers(0, 10), st.sampled_from([0, 1, 4, 5, 8, 9, 0x20, 0x2D, 255]), st.integers(0, 9), st.binary()
        )
        | st.sampled_from([b"/echo", b"/wait", b"/each", b"/large"]),
        max_size=30,
    ),
    st.integers(1, 40),
)
def test_whatever_comes_is_answered_or_ends_the_connection(sent: list[Any], cut: int) -> None:
    async def scenario() -> None:
        client = Client()
        data = bytearray()
        for index, one in enumerate(sent):
            if isinstance(one, bytes):
                block = fields([*CALL[:2], (b":path", one), *CALL[2:]])
                data += frame(frames.HEADERS, END_HEADERS, 2 * index + 11, block)
                data += frame(frames.DATA, END_STREAM, 2 * index + 11, framed(b"hello"))
            else:
                data += frame(*one)
        for start in range(0, len(data), cut):
            if not client.transport.ended:
                client.say(bytes(data[start : start + cut]))
        await client.settled()
        assert went_away(client.heard()) != frames.INTERNAL_ERROR
        client.server.connection_lost(None)
        await client.settled()
        assert not [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]

    asyncio.run(scenario())


async def test_who_asks_without_reading_is_sent_away() -> None:
    client = Client()
    client.transport.unread = 2 * 2**20
    client.say(frame(frames.PING, 0, 0, bytes(8)))
    assert went_away(client.heard()) == frames.ENHANCE_YOUR_CALM


@pytest.mark.parametrize(
    ("wire", "code"),
    [
        (frame(frames.DATA, 0, 1, b"x"), frames.PROTOCOL_ERROR),
        (frame(frames.DATA, 0, 0, b"x"), frames.PROTOCOL_ERROR),
        (frame(frames.HEADERS, END_HEADERS, 2, b""), frames.PROTOCOL_ERROR),
        (frame(frames.HEADERS, END_HEADERS, 0, b""), frames.PROTOCOL_ERROR),
        (frame(frames.HEADERS, END_HEADERS, 1, b"\xff"), frames.COMPRESSION_ERROR),
        (frame(frames.SETTINGS, 0, 1, b""), frames.PROTOCOL_ERROR),
        (frame(frames.SETTINGS, 0, 0, b"x"), frames.FRAME_SIZE_ERROR),
        (frames.settings({frames.INITIAL_WINDOW_SIZE: 2**31}), frames.FLOW_CONTROL_ERROR),
        (frames.settings({frames.MAX_FRAME_SIZE: 100}), frames.PROTOCOL_ERROR),
        (frame(frames.PING, 0, 0, b"x"), frames.FRAME_SIZE_ERROR),
        (frame(frames.RST_STREAM, 0, 1, bytes(4)), frames.PROTOCOL_ERROR),
        (frame(frames.RST_STREAM, 0, 1, b"x"), frames.FRAME_SIZE_ERROR),
        (frames.window_update(0, 0), frames.PROTOCOL_ERROR),
        (frames.window_update(0, 2**31 - 1), frames.FLOW_CONTROL_ERROR),
        (frames.window_update(1, 1), frames.PROTOCOL_ERROR),
        (frame(frames.PUSH_PROMISE, 0, 1, b""), frames.PROTOCOL_ERROR),
    ],
)
async def test_who_breaks_the_protocol_is_sent_away(wire: bytes, code: int) -> None:
    client = Client()
    client.say(wire)
    assert went_away(client.heard()) == code
    assert client.transport.ended == "closed"


@pytest.mark.parametrize(
    "break_it", [lambda: frames.window_update(1, 2**31 - 1), lambda: frame(frames.DATA, 1, 1, b"")]
)
async def test_who_breaks_a_stream_loses_that_alone(break_it: Callable[[], bytes]) -> None:
    client = Client()
    client.call(1, b"/wait", b"")
    await client.settled()
    client.say(break_it())
    assert set(resets(client.heard())) == {1}
    await client.settled()
    assert client.cancelled == 1
    assert not client.transport.ended
