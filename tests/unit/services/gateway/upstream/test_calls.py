"""Whole calls, and the connections that are kept between them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from services.gateway import hop
from tests.http_server import Request, serving
from tests.unit.services.gateway.upstream.asking import PATIENCE, Ask, both, call, connected, echo, to

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


async def test_call_carries_the_request_and_its_answer(path: Path) -> None:
    async with serving(echo, path) as server, connected(to(path)) as upstream:
        assert await call(upstream) == (200, b"answer to question")
    (request,) = server.requests
    assert (request.method, request.path, request.body) == ("POST", "/task", b"question")
    assert request.headers["x-one"] == "1"


async def test_call_reads_chunks_and_any_status(path: Path) -> None:
    async def answer(request: Request) -> None:
        if request.number == 1:
            await request.answer(b"{}", "503 Service Unavailable")
            return
        await request.begin()
        for chunk in (b"in ", b"three ", b"parts", b""):
            await request.chunk(chunk)

    async with serving(answer, path), connected(to(path)) as upstream:
        assert await call(upstream) == (503, b"{}")
        assert await call(upstream) == (200, b"in three parts")


async def test_large_bodies_cross(path: Path) -> None:
    body = bytes(range(256)) * 2**14
    async with serving(echo, path), connected(to(path)) as upstream:
        assert await upstream.call("POST", "/", body=body, headers={}, timeout=PATIENCE) == (200, b"answer to " + body)


@both
async def test_connection_is_kept(path: Path, ask: Ask) -> None:
    async with serving(echo, path) as server, connected(to(path)) as upstream:
        for _ in range(3):
            await ask(upstream)
        assert server.connections == 1


async def test_connection_that_the_server_gives_up_is_not_kept(path: Path) -> None:
    async def answer(request: Request) -> None:
        await request.answer(b"", headers="connection: close\r\n")

    async with serving(answer, path) as server, connected(to(path)) as upstream:
        await call(upstream)
        await call(upstream)
        assert server.connections == 2
        assert server.probes == 0


async def test_connection_idle_for_too_long_is_not_used(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hop, "_KEEP_ALIVE_SECONDS", 0.0)
    async with serving(echo, path) as server, connected(to(path)) as upstream:
        await call(upstream)
        await asyncio.sleep(0.001)
        await call(upstream)
        assert server.connections == 2


async def test_connection_that_died_idle_is_not_used(path: Path) -> None:
    async def answer(request: Request) -> None:
        await echo(request)
        request.hang_up()

    async with serving(answer, path) as server, connected(to(path)) as upstream:
        await asyncio.gather(call(upstream), call(upstream))
        await asyncio.sleep(0.01)
        await call(upstream)
        assert (server.connections, server.probes) == (3, 0)


async def test_concurrent_calls_get_their_own_answers(path: Path) -> None:
    async with serving(echo, path), connected(to(path)) as upstream:
        answers = await asyncio.gather(
            *(upstream.call("POST", "/", body=b"%d" % n, headers={}, timeout=PATIENCE) for n in range(50))
        )
        assert [body for _, body in answers] == [b"answer to %d" % n for n in range(50)]
