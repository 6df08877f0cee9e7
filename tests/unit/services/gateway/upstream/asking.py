"""Upstreams of a small server, ways to ask them, and ways in which it answers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from services.gateway.address import Address
from services.gateway.upstream import Upstream
from tests.http_server import Request

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

Ask = Callable[..., Coroutine[Any, Any, object]]
Answer = Callable[[Request], Awaitable[None]]

CONNECT_TIMEOUT = 0.3
PROBE_TIMEOUT = 0.2
PATIENCE = 10.0
"""Seconds in which everything must be over; nothing here should take one."""


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[Upstream]:
    upstream = Upstream("model", Address.parse(url), connect_timeout=CONNECT_TIMEOUT, probe_timeout=PROBE_TIMEOUT)
    await upstream.open()
    try:
        async with asyncio.timeout(PATIENCE):
            yield upstream
    finally:
        await upstream.close()


def to(path: Path) -> str:
    return f"file://{path}"


async def call(upstream: Upstream, timeout: float = PATIENCE) -> tuple[int, bytes]:
    return await upstream.call("POST", "/task", body=b"question", headers={"x-one": "1"}, timeout=timeout)


async def read(upstream: Upstream, idle_timeout: float = PATIENCE) -> bytes:
    async with upstream.stream("POST", "/task", body=b"question", idle_timeout=idle_timeout) as response:
        return await response.read()


async def echo(request: Request) -> None:
    await request.answer(b"answer to " + request.body)


async def never(request: Request) -> None:
    await asyncio.Event().wait()


async def breaks_off(request: Request) -> None:
    await request.begin()
    await request.chunk(b"half an ans")
    request.hang_up()


async def goes_silent(request: Request) -> None:
    await request.begin()
    await request.chunk(b"half an ans")
    await never(request)


async def babbles(request: Request) -> None:
    await request.write(b"This is not HTTP at all.\r\n\r\n")


async def hangs_up(request: Request) -> None:
    request.hang_up()


both = pytest.mark.parametrize("ask", [call, read])
