"""What goes over a channel and what does not, and that it comes whole and in order."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from services.asgi import send_bytes
from services.channel import CHANNEL_HEADER, CHANNEL_PATH, TAKEN
from services.http_protocol import HttpProtocol
from tests.gateway import listening
from tests.integration.channel.hop import LARGE, PIECES, Hop
from tests.waiting import until

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from services.asgi import Receive, Scope, Send


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
