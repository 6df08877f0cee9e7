"""Answers that are read piece by piece."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests.http_server import Request, serving
from tests.unit.services.gateway.upstream.asking import PATIENCE, connected, echo, goes_silent, to

if TYPE_CHECKING:
    from pathlib import Path


async def test_stream_hands_on_pieces_as_they_come(path: Path) -> None:
    go_on = asyncio.Event()

    async def answer(request: Request) -> None:
        await request.begin("content-type: text/event-stream\r\n")
        await request.chunk("data: gr\u00fcn\n\n".encode()[:9])
        await go_on.wait()
        await request.chunk("data: gr\u00fcn\n\n".encode()[9:])
        await request.chunk(b"")

    async with (
        serving(answer, path),
        connected(to(path)) as upstream,
        upstream.stream("POST", "/", idle_timeout=PATIENCE) as response,
    ):
        assert response.status == 200
        assert response.headers["content-type"] == "text/event-stream"
        pieces = []
        async for piece in response.content.iter_any():
            pieces.append(piece)
            go_on.set()
    assert b"".join(pieces).decode() == "data: gr\u00fcn\n\n"
    assert len(pieces) == 2


async def test_stream_left_early_closes_the_connection(path: Path) -> None:
    async with serving(goes_silent, path) as server, connected(to(path)) as upstream:
        async with upstream.stream("POST", "/", idle_timeout=PATIENCE) as response:
            assert await anext(response.content.iter_any()) == b"half an ans"
            assert server.open == 1
        await server.closed.wait()
        assert server.open == 0


async def test_errors_of_the_reader_pass_through_a_stream(path: Path) -> None:
    async with serving(echo, path), connected(to(path)) as upstream:
        with pytest.raises(ZeroDivisionError):
            async with upstream.stream("POST", "/", idle_timeout=PATIENCE):
                raise ZeroDivisionError


async def test_answers_are_not_redirected(path: Path) -> None:
    async def answer(request: Request) -> None:
        await request.answer(b"", "307 Temporary Redirect", "location: /invocations\r\n")

    async with serving(answer, path) as server, connected(to(path)) as upstream:
        async with upstream.stream("POST", "/task", idle_timeout=PATIENCE) as response:
            assert response.status == 307
        assert [request.path for request in server.requests] == ["/task"]
