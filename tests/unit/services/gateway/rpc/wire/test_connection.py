"""A connection over a transport that keeps what is written, and calls that do what the test says."""

from __future__ import annotations

import asyncio
import gc
import struct
from typing import TYPE_CHECKING, Any, cast

import grpc
import hpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.rpc.wire import frames
from services.gateway.rpc.wire.connection import MOST_ABANDONED, MOST_STREAMS, Connection
from services.gateway.rpc.wire.frames import END_HEADERS, END_STREAM, PREFACE, fields, frame
from services.gateway.rpc.wire.stream import WINDOW, Method, Stream

if TYPE_CHECKING:
    from collections.abc import Callable


Frame = tuple[int, int, int, bytes]
HELLO = PREFACE + frames.settings({})
CALL = [(b":method", b"POST"), (b":scheme", b"http"), (b"content-type", b"application/grpc")]
LIMIT = 3 * WINDOW
NUMBER = struct.Struct(">I")


class FakeSocket:
    def setsockopt(self, *_: int) -> None:
        pass


class FakeTransport:
    def __init__(self) -> None:
        self.written = bytearray()
        self.unread = 0
        self.ended = ""
        """How it ended; empty while it lives."""

    def write(self, data: bytes) -> None:
        assert not self.ended
        self.written += data

    def get_write_buffer_size(self) -> int:
        return self.unread

    def get_extra_info(self, name: str) -> Any:
        return {"peername": ("10.0.0.7", 50312), "socket": FakeSocket()}[name]

    def is_closing(self) -> bool:
        return bool(self.ended)

    def close(self) -> None:
        self.ended = "closed"

    def abort(self) -> None:
        self.ended = "aborted"


class Client:
    """The other side of one connection."""

    def __init__(self, greeting: bytes = HELLO) -> None:
        self.transport = FakeTransport()
        self.open: set[Connection] = set()
        self.running: list[Stream] = []
        self.cancelled = 0
        self.go = asyncio.Event()
        self.requests: list[bytes] = []
        methods = {
            b"/echo": Method(self._echo),
            b"/wait": Method(self._wait),
            b"/large": Method(self._large),
            b"/each": Method(self._each, takes_stream=True),
        }
        self.server = Connection(methods, LIMIT, self.open)
        self.server.connection_made(cast("asyncio.Transport", self.transport))
        self._decoder = hpack.Decoder()
        self.say(greeting)
        self.heard()

    def say(self, *data: bytes) -> None:
        self.server.data_received(b"".join(data))

    def call(self, stream: int, path: bytes, *messages: bytes, ends: bool = True, **headers: bytes) -> None:
        given = [(name.replace("_", "-").encode(), value) for name, value in headers.items()]
        block = fields([*CALL[:2], (b":path", path), *CALL[2:], *given])
        self.say(frame(frames.HEADERS, END_HEADERS, stream, block))
        self.say(frame(frames.DATA, END_STREAM if ends else 0, stream, b"".join(map(framed, messages))))

    def heard(self) -> list[Frame]:
        """The frames since the last call."""
        data, found = bytes(self.transport.written), []
        self.transport.written.clear()
        while data:
            upper, lower, kind, flags, stream = frames.HEAD.unpack_from(data)
            end = frames.HEAD.size + (upper << 8 | lower)
            found.append((kind, flags, stream, data[frames.HEAD.size : end]))
            data = data[end:]
        return found

    def answers(self, heard: list[Frame] | None = None) -> dict[int, tuple[bytes, dict[bytes, bytes]]]:
        """Messages, with what frames them, and fields of each stream."""
        found: dict[int, tuple[bytes, dict[bytes, bytes]]] = {}
        for kind, _, stream, payload in self.heard() if heard is None else heard:
            data, told = found.get(stream, (b"", {}))
            if kind == frames.DATA:
                found[stream] = data + payload, told
            elif kind == frames.HEADERS:
                found[stream] = data, told | dict(self._decoder.decode(payload, raw=True))
        return found

    async def settled(self) -> None:
        for _ in range(6):
            await asyncio.sleep(0)

    async def _echo(self, stream: Stream) -> None:
        stream.respond(stream.request())

    async def _wait(self, stream: Stream) -> None:
        self.running.append(stream)
        try:
            await self.go.wait()
            stream.respond(b"waited")
        except asyncio.CancelledError:
            self.cancelled += 1
            raise

    async def _large(self, stream: Stream) -> None:
        for _ in range(3):
            await stream.send(b"x" * 50_000)
        stream.end(grpc.StatusCode.OK, trailers=[("X-Left", "7")])

    async def _each(self, stream: Stream) -> None:
        async for message in stream.requests():
            self.requests.append(message)
            await self.go.wait()
        stream.end(grpc.StatusCode.DATA_LOSS, "50 % gone: é")


def framed(message: bytes) -> bytes:
    return struct.pack(">BI", 0, len(message)) + message


def went_away(heard: list[Frame]) -> int | None:
    """The error code of a GOAWAY."""
    return next((NUMBER.unpack_from(payload, 4)[0] for kind, _, _, payload in heard if kind == frames.GOAWAY), None)


def resets(heard: list[Frame]) -> dict[int, int]:
    return {stream: NUMBER.unpack(payload)[0] for kind, _, stream, payload in heard if kind == frames.RST_STREAM}


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


async def test_a_reset_cancels_the_call_and_no_other() -> None:
    client = Client()
    client.call(1, b"/wait", b"")
    client.call(3, b"/wait", b"")
    await client.settled()
    client.say(frames.reset(1, 8))
    await client.settled()
    assert client.cancelled == 1
    client.go.set()
    await client.settled()
    assert set(client.answers()) == {3}
    client.say(frames.reset(1, 8), frames.window_update(1, 5), frame(frames.DATA, 0, 1, b"late"))
    assert not client.transport.ended, "frames of a stream that is over may still be on their way"


async def test_a_lost_connection_cancels_its_calls() -> None:
    client = Client()
    client.call(1, b"/wait", b"")
    await client.settled()
    client.server.connection_lost(None)
    await client.settled()
    assert (client.cancelled, client.open, client.server.closed.done()) == (1, set(), True)


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


async def test_a_deadline_ends_the_call_whether_it_has_begun_or_not() -> None:
    client = Client()
    client.call(1, b"/wait", b"", grpc_timeout=b"1m")
    client.call(3, b"/echo", ends=False, grpc_timeout=b"1m")
    await client.settled()
    assert client.running[0].seconds is not None
    await asyncio.sleep(0.01)
    heard = client.heard()
    assert {stream: told[b"grpc-status"] for stream, (_, told) in client.answers(heard).items()} == {1: b"4", 3: b"4"}
    assert resets(heard) == {3: frames.NO_ERROR}
    assert (client.cancelled, client.running[0].expired) == (1, True)


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


async def test_who_reads_nothing_is_let_go_however_much_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.gateway.rpc.wire.connection.LOOK_SECONDS", 0.01)
    monkeypatch.setattr("services.gateway.rpc.wire.connection.LINGER_SECONDS", 0.01)
    client = Client()
    client.server.pause_writing()
    client.call(1, b"/large", b"")
    await client.settled()
    client.transport.unread = 2 * 2**20
    await asyncio.sleep(0.1)
    assert client.transport.ended == "aborted"
    client.server.connection_lost(None)


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


async def test_what_is_under_way_is_finished_before_it_leaves() -> None:
    client = Client()
    client.call(1, b"/wait", b"")
    await client.settled()
    client.server.leave()
    assert went_away(client.heard()) == frames.NO_ERROR
    client.call(3, b"/echo", b"late")
    assert resets(client.heard()) == {3: frames.REFUSED_STREAM}
    assert len(client.open) == 1
    client.go.set()
    await client.settled()
    assert client.answers()[1][0] == framed(b"waited")
    assert client.transport.ended == "closed"


async def test_who_does_not_go_on_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.gateway.rpc.wire.connection.LOOK_SECONDS", 0.02)
    silent, stuck, speaking = Client(b""), Client(HELLO + b"\0"), Client()
    speaking.call(1, b"/echo", ends=False)
    speaking.call(3, b"/wait", b"")
    speaking.call(5, b"/each", ends=False)
    await asyncio.sleep(0.2)
    assert (silent.transport.ended, stuck.transport.ended) == ("closed", "closed")
    heard = speaking.heard()
    assert {stream: told[b"grpc-status"] for stream, (_, told) in speaking.answers(heard).items()} == {1: b"4"}
    assert resets(heard) == {1: frames.NO_ERROR}
    assert not speaking.transport.ended
    speaking.server.connection_lost(None)


async def test_who_takes_no_answer_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.gateway.rpc.wire.connection.LOOK_SECONDS", 0.02)
    client = Client()
    client.call(1, b"/echo", b"x" * 70_000)
    client.call(3, b"/wait", b"")
    await asyncio.sleep(0.2)
    assert resets(client.heard()) == {1: frames.CANCEL}
    assert not client.transport.ended
    client.say(frames.window_update(0, 10**6))
    client.go.set()
    await client.settled()
    assert client.answers()[3][1][b"grpc-status"] == b"0", "another call of the same client goes on"
    client.server.connection_lost(None)
