"""Probes, and what they say of a process that is gone."""

from __future__ import annotations

import asyncio
import socket
import time
from typing import TYPE_CHECKING

import pytest

from services.errors import NotRunning, Unavailable
from tests.http_server import serving
from tests.unit.services.gateway.upstream.asking import (
    PROBE_TIMEOUT,
    Answer,
    Ask,
    babbles,
    both,
    breaks_off,
    connected,
    echo,
    hangs_up,
    to,
)

if TYPE_CHECKING:
    from pathlib import Path


async def test_socket_of_a_dead_worker_accepts_and_the_probe_says_so(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(16)
        async with connected(to(path)) as upstream:
            began = time.perf_counter()
            with pytest.raises(Unavailable, match="does not answer"):
                await upstream.probe()
            assert time.perf_counter() - began < 5 * PROBE_TIMEOUT


async def test_probe_says_what_the_dependency_says(path: Path) -> None:
    async with serving(echo, path), connected(to(path)) as upstream:
        assert await upstream.probe() == b'{"state": "ready"}'


@pytest.mark.parametrize("broken", [hangs_up, breaks_off, babbles])
async def test_probe_of_a_broken_dependency(path: Path, broken: Answer) -> None:
    async with serving(echo, path) as server, connected(to(path)) as upstream:
        server.on_probe = broken
        with pytest.raises(Unavailable):
            await upstream.probe()


async def test_probes_share_one_connection(path: Path) -> None:
    async with serving(echo, path) as server, connected(to(path)) as upstream:
        for _ in range(10):
            await upstream.probe()
        assert (server.connections, server.open) == (1, 1)
        assert not upstream._pool._idle


@both
@pytest.mark.parametrize("noticed", [False, True])
async def test_everybody_hears_when_the_process_is_gone_though_its_socket_accepts(
    path: Path, ask: Ask, noticed: bool
) -> None:
    writers: list[asyncio.StreamWriter] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")

    with socket.socket(socket.AF_UNIX) as held_by_the_arbiter:
        held_by_the_arbiter.bind(str(path))
        held_by_the_arbiter.listen(16)
        worker = await asyncio.start_unix_server(answer, sock=held_by_the_arbiter.dup())
        async with connected(to(path)) as upstream:
            assert await upstream.probe() == b"{}"
            worker.close()
            for writer in writers:
                writer.transport.abort()
            if noticed:  # the kept connection was seen to end before anybody used it again
                await asyncio.sleep(0.05)
            waiting = asyncio.create_task(ask(upstream))
            began = time.perf_counter()
            with pytest.raises(NotRunning):
                await upstream.probe()
            with pytest.raises(NotRunning, match="The model is not running"):
                await waiting
            assert time.perf_counter() - began < 5 * PROBE_TIMEOUT
            with pytest.raises(NotRunning):
                await upstream.probe()
