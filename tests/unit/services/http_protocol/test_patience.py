"""Clients that send or read too slowly, and who is waited for."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from services.asgi import read_body, send_json
from services.http_protocol import HttpProtocol
from tests.gateway import listening
from tests.unit.services.http_protocol.echoing import POST, connected
from tests.wire import request, wire

if TYPE_CHECKING:
    from pathlib import Path

    from services.asgi import Receive, Scope, Send
    from tests.wire import Wire


class Hasty(HttpProtocol):
    look_seconds = 0.05


@pytest.mark.parametrize("begun", [b"", b"POST", request(b"/")[:-2], request(b"/", method=POST, body=b"body")[:-2]])
async def test_request_that_never_ends_is_given_up(tmp_path: Path, begun: bytes) -> None:
    async with connected(tmp_path, Hasty) as client:
        await client.send(begun)
        heard = await client.rest()
        assert heard.startswith(b"HTTP/1.1 408 ") if begun else heard == b""


async def test_body_that_drips_is_given_up(tmp_path: Path) -> None:
    async with connected(tmp_path, Hasty) as client:
        await client.send(request(b"/", b"content-length: 100000", method=POST))
        dripping = asyncio.create_task(_drip(client))
        heard = await client.rest()  # lost when a drop meets the closed connection first
        assert heard == b"" or heard.startswith(b"HTTP/1.1 408 ")
        dripping.cancel()


async def _drip(client: Wire) -> None:
    while True:
        await client.send(b"x")
        await asyncio.sleep(0.005)


async def test_connection_that_goes_on_sending_after_its_answer_is_given_up(tmp_path: Path) -> None:
    async with connected(tmp_path, Hasty) as client:
        heard = await client.ask(request(b"/refused", b"content-length: 100000", method=POST))
        assert heard.status == 200
        dripping = asyncio.create_task(_drip(client))
        assert await client.rest() == b""
        dripping.cancel()


async def test_client_that_reads_nothing_is_let_go_of_and_its_work_ends(tmp_path: Path) -> None:
    ended = asyncio.Event()
    sent = 0

    async def endless(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal sent

        async def write() -> None:
            nonlocal sent
            await send({"type": "http.response.start", "status": 200, "headers": []})
            while True:
                await send({"type": "http.response.body", "body": b"x" * 2**14, "more_body": True})
                sent += 2**14
                await asyncio.sleep(0)

        writing = asyncio.create_task(write())
        while (await receive())["type"] != "http.disconnect":
            pass
        writing.cancel()
        ended.set()

    async with asyncio.timeout(30), listening(endless, tmp_path / "socket", Hasty):
        _, writer = await asyncio.open_unix_connection(str(tmp_path / "socket"), limit=2**10)
        writer.write(request(b"/"))
        await ended.wait()
        writer.transport.abort()
    assert 0 < sent < 2**22


async def test_client_that_reads_slowly_is_waited_for(tmp_path: Path) -> None:
    """It takes something between two looks, for many looks."""
    body = b"x" * 2**22

    class Watching(HttpProtocol):
        look_seconds = 0.2

    async def large(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for start in range(0, len(body), 2**15):
            await send({"type": "http.response.body", "body": body[start : start + 2**15], "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    heard = 0
    async with asyncio.timeout(30), listening(large, tmp_path / "socket", Watching):
        reader, writer = await asyncio.open_unix_connection(str(tmp_path / "socket"), limit=2**10)
        writer.write(request(b"/", b"connection: close"))
        while piece := await reader.read(2**15):
            heard += len(piece)
            await asyncio.sleep(0.01)
        writer.close()
    assert heard > len(body)


async def test_slow_answer_is_waited_for(tmp_path: Path) -> None:
    """As many looks as it takes: the client owes nothing."""
    looks = 0

    class Watched(Hasty):
        def _look(self) -> None:
            nonlocal looks
            looks += 1
            super()._look()
            if looks == 5:
                enough.set()

    enough = asyncio.Event()

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        await read_body(scope, receive, 10)
        await enough.wait()
        await send_json(send, 200, b"{}")

    async with asyncio.timeout(30), listening(slow, tmp_path / "socket", Watched), wire(tmp_path / "socket") as client:
        assert (await client.ask(request(b"/", method=POST, body=b"hi"))).status == 200
