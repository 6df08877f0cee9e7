"""How calls and connections end before their answer is whole: reset, lost, late, not read, or left by the server."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from services.gateway.rpc.wire import frames
from services.gateway.rpc.wire.frames import frame
from tests.unit.services.gateway.rpc.wire.client import HELLO, Client, framed, resets, went_away

if TYPE_CHECKING:
    import pytest


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
