"""Connections that are lost, never made or too slow, and what is tried again."""

from __future__ import annotations

import asyncio
import socket
import time
from typing import TYPE_CHECKING

import pytest

from services.errors import DeadlineExceeded, Unavailable
from tests.http_server import Request, serving
from tests.unit.services.gateway.upstream.asking import (
    CONNECT_TIMEOUT,
    PROBE_TIMEOUT,
    Answer,
    Ask,
    babbles,
    both,
    breaks_off,
    connected,
    echo,
    goes_silent,
    hangs_up,
    never,
    to,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


async def refuses_kept_connections(request: Request) -> None:
    """As uvicorn does when its idle timer fires at the moment a request comes in."""
    if request.number > 1:
        request.hang_up()
    else:
        await echo(request)


@both
async def test_keep_alive_race_is_survived_by_one_new_connection(path: Path, ask: Ask) -> None:
    async with serving(refuses_kept_connections, path) as server, connected(to(path)) as upstream:
        await ask(upstream)
        await ask(upstream)
        assert len(server.requests) == 3
        assert server.probes == 1


@both
async def test_connection_lost_twice_is_unavailable(path: Path, ask: Ask) -> None:
    async with serving(hangs_up, path) as server, connected(to(path)) as upstream:
        with pytest.raises(Unavailable):
            await ask(upstream)
        assert len(server.requests) == 2


@both
async def test_nothing_is_sent_again_to_a_dependency_that_does_not_answer_a_probe(path: Path, ask: Ask) -> None:
    async with serving(hangs_up, path) as server, connected(to(path)) as upstream:
        server.on_probe = never
        began = time.perf_counter()
        with pytest.raises(Unavailable, match="does not answer"):
            await ask(upstream)
        assert time.perf_counter() - began < 5 * PROBE_TIMEOUT
        assert len(server.requests) == 1


@both
async def test_connection_lost_half_way_is_unavailable_and_not_tried_again(path: Path, ask: Ask) -> None:
    async with serving(breaks_off, path) as server, connected(to(path)) as upstream:
        with pytest.raises(Unavailable):
            await ask(upstream)
        assert len(server.requests) == 1


@both
async def test_answer_that_is_not_http_is_unavailable(path: Path, ask: Ask) -> None:
    async with serving(babbles, path), connected(to(path)) as upstream:
        with pytest.raises(Unavailable):
            await ask(upstream)


@both
@pytest.mark.parametrize("slow", [never, goes_silent])
async def test_slow_answer_passes_the_deadline_and_frees_the_connection(path: Path, ask: Ask, slow: Answer) -> None:
    async with serving(slow, path) as server, connected(to(path)) as upstream:
        with pytest.raises(DeadlineExceeded):
            await ask(upstream, 0.05)
        await server.closed.wait()
        server.on_request = echo
        await ask(upstream)
        assert server.connections == 2


@both
async def test_cancelled_request_closes_its_connection(path: Path, ask: Ask) -> None:
    arrived = asyncio.Event()

    async def answer(request: Request) -> None:
        arrived.set()
        await never(request)

    async with serving(answer, path) as server, connected(to(path)) as upstream:
        task = asyncio.create_task(ask(upstream))
        await arrived.wait()
        task.cancel()
        await server.closed.wait()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert server.open == 0


@both
async def test_nobody_listens(path: Path, ask: Ask) -> None:
    async with connected(to(path)) as upstream:
        with pytest.raises(Unavailable, match="not running"):
            await ask(upstream)
        with pytest.raises(Unavailable, match="not running"):
            await upstream.probe()


@pytest.fixture
def full_address() -> Iterator[str]:
    """Where nobody accepts and no more fit into the backlog, so that a connection is never made."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        address = listener.getsockname()
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(address)
        yield f"tcp://127.0.0.1:{address[1]}"
        for one in waiting:
            one.close()


@both
async def test_connection_that_is_never_made_is_unavailable(full_address: str, ask: Ask) -> None:
    async with connected(full_address) as upstream:
        began = time.perf_counter()
        with pytest.raises(Unavailable):
            await ask(upstream)
        assert time.perf_counter() - began < 5 * CONNECT_TIMEOUT
