"""What may go out or come in before the other side has made room for it."""

from __future__ import annotations

import struct

from services.gateway.rpc.wire import frames
from services.gateway.rpc.wire.frames import END_STREAM, PREFACE, frame
from services.gateway.rpc.wire.stream import WINDOW
from tests.unit.services.gateway.rpc.wire.client import LIMIT, Client, framed, resets


async def test_an_answer_waits_for_room_in_both_windows() -> None:
    client = Client(PREFACE + frames.settings({frames.INITIAL_WINDOW_SIZE: 10}))
    client.call(1, b"/echo", b"x" * 70_000)
    await client.settled()
    assert client.answers()[1][0] == framed(b"x" * 70_000)[:10]
    client.say(frames.settings({frames.INITIAL_WINDOW_SIZE: 110}))
    client.say(frames.window_update(1, 100_000))
    assert len(client.answers()[1][0]) == 65_535 - 10, "the whole connection has 65,535 bytes to begin with"
    client.say(frames.window_update(0, 100_000))
    data, told = client.answers()[1]
    assert len(data) == 70_005 - 65_535
    assert told == {b"grpc-status": b"0"}


async def test_frames_are_no_larger_than_the_client_takes() -> None:
    client = Client(PREFACE + frames.settings({frames.INITIAL_WINDOW_SIZE: 10**6, frames.MAX_FRAME_SIZE: 20_000}))
    client.say(frames.window_update(0, 10**6))
    client.call(1, b"/echo", b"x" * 70_000)
    await client.settled()
    assert [len(payload) for kind, _, _, payload in client.heard() if kind == frames.DATA] == [20_000] * 3 + [10_005]


async def test_a_socket_that_is_full_holds_answers_back() -> None:
    client = Client()
    client.server.pause_writing()
    client.call(1, b"/echo", b"hello")
    await client.settled()
    assert client.answers()[1][0] == b""
    client.server.resume_writing()
    assert client.answers()[1] == (framed(b"hello"), {b"grpc-status": b"0"})


async def test_a_stream_of_answers_waits_until_they_are_taken_and_tells_more_at_the_end() -> None:
    client = Client()
    client.call(1, b"/large", b"")
    await client.settled()
    assert len(client.answers()[1][0]) == 65_535
    client.say(frames.window_update(0, 10**6), frames.window_update(1, 10**6))
    await client.settled()
    data, told = client.answers()[1]
    assert len(data) == 3 * 50_005 - 65_535
    assert told == {b"grpc-status": b"0", b"x-left": b"7"}


async def test_requests_that_nobody_takes_are_not_asked_for() -> None:
    client = Client()
    client.call(1, b"/each", b"first", ends=False)
    part = framed(b"x" * 100_000)
    for _ in range(10):
        client.say(frame(frames.DATA, 0, 1, part))
    await client.settled()
    credit = [payload for kind, _, stream, payload in client.heard() if kind == frames.WINDOW_UPDATE and stream == 1]
    assert len(credit) == 1, "half the window was given back while little was waiting"
    client.go.set()
    client.say(frame(frames.DATA, END_STREAM, 1, b""))
    await client.settled()
    assert [len(message) for message in client.requests] == [5, *[100_000] * 10]
    told = client.answers()[1][1]
    assert (told[b"grpc-status"], told[b"grpc-message"]) == (b"15", b"50 %25 gone: %C3%A9")


async def test_a_message_larger_than_the_window_comes_through_and_one_over_the_limit_does_not() -> None:
    client = Client()
    parts = framed(b"x" * 2 * WINDOW)
    client.call(1, b"/each", ends=False)
    for start in range(0, len(parts), 100_000):
        client.say(frame(frames.DATA, 0, 1, parts[start : start + 100_000]))
    await client.settled()
    assert [len(message) for message in client.requests] == [2 * WINDOW]
    client.call(3, b"/echo", ends=False)
    client.say(frame(frames.DATA, 0, 3, struct.pack(">BI", 0, LIMIT + 1)))
    await client.settled()
    assert not client.transport.ended


async def test_who_overruns_the_window_is_reset() -> None:
    client = Client()
    client.call(1, b"/each", b"first", ends=False)
    for _ in range(25):
        client.say(frame(frames.DATA, 0, 1, framed(b"x" * 100_000)))
    assert resets(client.heard()) == {1: frames.FLOW_CONTROL_ERROR}


async def test_padding_counts_for_the_window_and_nothing_else() -> None:
    client = Client()
    client.call(1, b"/echo", ends=False)
    client.say(frame(frames.DATA, END_STREAM | frames.PADDED, 1, b"\x03" + framed(b"hello") + b"\0\0\0"))
    await client.settled()
    assert client.answers()[1][0] == framed(b"hello")


async def test_a_window_that_shrinks_is_made_up_for_before_more_goes_out() -> None:
    client = Client()
    client.call(1, b"/large", b"")
    await client.settled()
    client.heard()
    client.say(frames.window_update(0, 10**6), frames.settings({frames.INITIAL_WINDOW_SIZE: 0}))
    client.say(frames.window_update(1, 65_535))
    assert not client.answers(), "what was sent already counts against the new window"
    client.say(frames.settings({frames.INITIAL_WINDOW_SIZE: 7}))
    assert len(client.answers()[1][0]) == 7


async def test_who_waits_for_all_goes_out_in_turn() -> None:
    client = Client(PREFACE + frames.settings({frames.INITIAL_WINDOW_SIZE: 10**6}))
    for stream in (1, 3, 5):
        client.call(stream, b"/large", b"")
    await client.settled()
    client.heard()
    sent = []
    for _ in range(4):
        client.say(frames.window_update(0, 10))
        sent += [(stream, len(data)) for stream, (data, _) in client.answers().items()]
    assert sorted(sent[:3]) == [(1, 10), (3, 10), (5, 10)]
    assert sent[3] == sent[0]
