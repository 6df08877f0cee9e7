"""Calls over a connection, from their first frame to their last."""

from __future__ import annotations

import gc

from services.gateway.rpc.wire import frames
from services.gateway.rpc.wire.frames import END_HEADERS, END_STREAM, fields, frame
from services.gateway.rpc.wire.stream import Stream
from tests.unit.services.gateway.rpc.wire.client import CALL, Client, framed, resets


async def test_a_call_is_answered() -> None:
    client = Client()
    client.call(1, b"/echo", b"hello")
    await client.settled()
    heard = client.heard()
    assert [(kind, flags) for kind, flags, _, _ in heard] == [
        (frames.HEADERS, END_HEADERS),
        (frames.DATA, 0),
        (frames.HEADERS, END_HEADERS | END_STREAM),
    ]
    assert client.answers(heard)[1] == (
        framed(b"hello"),
        {b":status": b"200", b"content-type": b"application/grpc", b"grpc-status": b"0"},
    )


async def test_settings_and_pings_are_acknowledged() -> None:
    client = Client()
    client.say(frames.settings({}), frame(frames.PING, 0, 0, b"12345678"))
    client.say(frame(frames.SETTINGS, frames.ACK, 0), frame(frames.PING, frames.ACK, 0, b"12345678"))
    client.say(frame(frames.PRIORITY, 0, 1, bytes(5)), frame(0xF0, 0, 1, b"unknown"), frames.go_away(0, 0))
    assert client.heard() == [(frames.SETTINGS, 1, 0, b""), (frames.PING, 1, 0, b"12345678")]
    assert not client.transport.ended


async def test_what_is_not_a_call_is_told_so() -> None:
    client = Client()
    client.call(1, b"/nothing", b"x")
    client.say(
        frame(frames.HEADERS, END_HEADERS | END_STREAM, 3, fields([(b":method", b"GET"), CALL[1], (b":path", b"/")]))
    )
    client.say(frame(frames.HEADERS, END_HEADERS, 5, fields(CALL[:2])))
    client.call(9, b"/echo", b"x", x_long=b"y" * 20_000)
    heard = client.heard()
    answers = client.answers(heard)
    assert answers[9][1][b"grpc-status"] == b"8"
    assert (answers[1][1][b"grpc-status"], answers[3][1]) == (b"12", {b":status": b"405"})
    assert resets(heard) == {1: frames.NO_ERROR, 5: frames.PROTOCOL_ERROR, 9: frames.NO_ERROR}
    client.call(11, b"/echo", b"still here")
    await client.settled()
    assert client.answers()[11][0] == framed(b"still here")


async def test_trailers_of_a_client_end_its_requests() -> None:
    client = Client()
    client.call(1, b"/echo", b"hello", ends=False)
    client.say(frame(frames.HEADERS, END_HEADERS | END_STREAM, 1, fields([(b"x", b"y")])))
    await client.settled()
    assert client.answers()[1][0] == framed(b"hello")


async def test_answered_calls_leave_nothing_to_collect() -> None:
    client = Client()
    client.go.set()
    gc.collect()
    others = _streams()
    gc.disable()
    try:
        for number, path in enumerate((b"/echo", b"/wait", b"/each")):
            client.call(2 * number + 1, path, b"hello", grpc_timeout=b"1H")
            await client.settled()
        client.running.clear()
        assert not [found for found in _streams() if not any(found is other for other in others)]
    finally:
        gc.enable()


def _streams() -> list[Stream]:
    return [found for found in gc.get_objects() if type(found) is Stream]  # isinstance wakes what is lazy
