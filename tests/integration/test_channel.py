"""Streams that share a channel, between a real upstream and the LLM service's own app on a Unix socket."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, cast

import pytest

from services.asgi import send_bytes
from services.channel import CHANNEL_HEADER, CHANNEL_PATH, TAKEN
from services.gateway.address import Address
from services.gateway.hop import Connection
from services.gateway.streamed import ConnectionLost, StreamedAnswer
from services.gateway.upstream import Upstream
from services.http_protocol import HttpProtocol
from services.llm.channels import Channels
from services.llm.front import EngineFront, EngineStatus
from tests.gateway import listening
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from services.asgi import Receive, Scope, Send


PIECES = [b"data: piece %d\n\n" % number for number in range(5)]
LARGE = 2**19


class _Lost(Exception):
    """The connection or the channel broke."""


class Engine:
    """An engine's app whose streams send a piece each time that they are told to, and note who left."""

    def __init__(self) -> None:
        self.status = EngineStatus("ready", None, "mini", ("mini",), 0.0)
        self.app = self
        self.pieces: list[bytes] = PIECES
        self.fails_after: int | None = None
        self.content_type = b"text/event-stream; charset=utf-8"
        self.began = 0
        self.may_begin = asyncio.Event()
        self.may_begin.set()
        self.turn = asyncio.Event()
        self.turn.set()
        self.under_way = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive()).get("more_body"):
            pass
        self.began += 1
        await self.may_begin.wait()
        headers = [(b"content-type", self.content_type)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        self.under_way += 1
        work = asyncio.ensure_future(self._stream(send))
        leaving = asyncio.ensure_future(receive())
        try:
            await asyncio.wait((work, leaving), return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                work.result()
        finally:
            self.under_way -= 1
            work.cancel()
            leaving.cancel()

    async def _stream(self, send: Send) -> None:
        fails_after = self.fails_after
        for number, piece in enumerate(self.pieces):
            await self.turn.wait()
            if number == fails_after:
                raise RuntimeError("half a stream")
            await send({"type": "http.response.body", "body": piece, "more_body": True})
            await asyncio.sleep(0)
        await send({"type": "http.response.body", "body": b""})


class Hop:
    """An upstream to an engine, with a channel that is open."""

    def __init__(self, path: Path) -> None:
        self.engine = Engine()
        self.channels = Channels()
        self.path = path
        self.upstream = self.another()
        assert self.upstream._channel is not None
        self.channel = self.upstream._channel

    def another(self) -> Upstream:
        address = Address.parse(f"file://{self.path}")
        return Upstream("language model", address, connect_timeout=1, probe_timeout=1, channel=True)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Hop]:
        front = EngineFront(self.engine, lambda: None, None, self.channels)
        async with asyncio.timeout(20), listening(front, self.path, http=HttpProtocol):
            await self.upstream.open()
            try:
                assert await self.read() == b"".join(PIECES)  # by its own connection, and the channel is opened
                await self.opened()
                yield self
            finally:
                await self.upstream.close()

    async def opened(self) -> None:
        await until(lambda: self.channel._name)

    async def read(self) -> bytes:
        async with self.stream() as answer:
            try:
                return await answer.read()
            except ConnectionLost as lost:  # which the upstream would tell as a client hears it
                raise _Lost from lost

    def stream(self) -> AbstractAsyncContextManager[StreamedAnswer]:
        return self.upstream.stream("POST", "/task", body=b"q", idle_timeout=5)

    async def under_way(self, streams: int) -> None:
        """Return once so many are."""
        await until(lambda: self.engine.under_way == streams)


@pytest.fixture
async def hop(tmp_path: Path) -> AsyncIterator[Hop]:
    async with Hop(tmp_path / "llm").running() as hop:
        yield hop


async def test_streams_come_whole_and_in_order_over_one_channel(hop: Hop) -> None:
    answers = await asyncio.gather(*(hop.read() for _ in range(64)))
    assert set(answers) == {b"".join(PIECES)}


async def test_only_streams_of_events_that_begin_once_it_is_open_take_it(hop: Hop) -> None:
    async with hop.stream() as answer:
        assert answer.headers[CHANNEL_HEADER] == TAKEN
    hop.engine.content_type = b"application/json"
    async with hop.stream() as answer:
        assert CHANNEL_HEADER not in answer.headers
        assert await answer.read() == b"".join(PIECES)
    other = hop.another()
    await other.open()
    async with other.stream("POST", "/task", body=b"q", idle_timeout=5) as answer:
        assert CHANNEL_HEADER not in answer.headers
    await other.close()


async def test_pieces_of_one_turn_come_in_one_read(hop: Hop, monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[int] = []
    channel = hop.channel
    take = channel._take

    def noting(data: bytes) -> bool:
        reads.append(len(data))
        return take(data)

    monkeypatch.setattr(channel, "_take", noting)
    hop.engine.turn.clear()
    reading = [asyncio.ensure_future(hop.read()) for _ in range(32)]
    await hop.under_way(32)
    hop.engine.turn.set()
    await asyncio.gather(*reading)
    assert len(reads) < 32 * len(PIECES) / 4


async def test_a_long_stream_goes_on_over_its_own_connection(hop: Hop) -> None:
    hop.engine.pieces = [b"%06d" % number + b"x" * 1000 for number in range(LARGE // 1000)]
    answers = await asyncio.gather(*(hop.read() for _ in range(4)))
    assert set(answers) == {b"".join(hop.engine.pieces)}


async def test_one_that_does_not_read_holds_up_nobody_and_is_not_kept_in_memory(hop: Hop) -> None:
    hop.engine.pieces = [b"%06d" % number + b"x" * 10_000 for number in range(1000)]
    async with hop.stream() as unread:
        await until(lambda: unread._paused)
        await asyncio.sleep(0.1)
        hop.engine.pieces = PIECES
        assert await hop.read() == b"".join(PIECES)
        assert unread._size < LARGE * 2
        assert await unread.read() == b"".join(b"%06d" % number + b"x" * 10_000 for number in range(1000))


async def test_a_stream_that_fails_half_way_says_so_alone(hop: Hop) -> None:
    hop.engine.turn.clear()
    good = asyncio.ensure_future(hop.read())
    await hop.under_way(1)
    hop.engine.fails_after = 2
    bad = asyncio.ensure_future(hop.read())
    await hop.under_way(2)
    hop.engine.turn.set()
    with pytest.raises(_Lost):
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
        with pytest.raises(_Lost):
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


async def test_a_dependency_without_channels_streams_all_the_same(tmp_path: Path) -> None:
    hop = Hop(tmp_path / "llm")

    async def without(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == CHANNEL_PATH:
            await send_bytes(send, 404, b"", ())
        else:
            await hop.engine(scope, receive, send)

    async with asyncio.timeout(20), listening(without, hop.path, http=HttpProtocol):
        await hop.upstream.open()
        for _ in range(3):
            assert await hop.read() == b"".join(PIECES)
        await hop.upstream.close()


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
