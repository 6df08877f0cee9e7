from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, Self

import pytest

from scripts.bench.llm import client

if TYPE_CHECKING:
    from collections.abc import Sequence

ROLE = b'data: {"choices":[{"delta":{"role":"assistant","content":""}}]}\n\n'
TOKEN = b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n'
USAGE = b'data: {"choices":[],"usage":{"completion_tokens":3}}\n\n'
DONE = b"data: [DONE]\n\n"


class Server:
    """Answers each request with the next script: pieces to write as chunks, None to hang up."""

    def __init__(self, *scripts: Sequence[bytes | asyncio.Event | None], status: bytes = b"200 OK") -> None:
        self._scripts = list(scripts)
        self._status = status
        self.requests: list[dict[str, Any]] = []

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._answer, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await self._server.wait_closed()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
        self.requests.append(json.loads(await reader.readexactly(length)))
        writer.write(b"HTTP/1.1 " + self._status + b"\r\nTransfer-Encoding: chunked\r\n\r\n")
        for piece in self._scripts.pop(0):
            if piece is None:
                break
            if isinstance(piece, asyncio.Event):
                await piece.wait()
                continue
            writer.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            await writer.drain()
        else:
            writer.write(b"0\r\n\r\n")
        writer.close()
        await writer.wait_closed()


async def one(server: Server, **options: float) -> client.Stream:
    return await client.stream(server.port, client.chat_request(server.port, "m", 1, 3), **options)


async def test_a_whole_stream_is_counted_however_its_bytes_are_cut() -> None:
    text = ROLE + TOKEN + TOKEN + TOKEN + USAGE + DONE
    async with Server([text], [bytes([byte]) for byte in text]) as server:
        for _ in range(2):
            stream = await one(server)
            assert stream.failure is None
            assert len(stream.stamps) == 3
            assert stream.tokens == 3
            assert stream.first_token is not None
            assert stream.first_token > 0
            assert len(stream.gaps) == 2
    assert server.requests[0]["stream"] is True
    assert server.requests[0]["max_tokens"] == 3


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ([ROLE, TOKEN], "without"),
        ([ROLE, TOKEN, None], "lost"),
        ([ROLE, b'data: {"error":{"message":"the engine died"}}\n\n', DONE], "the engine died"),
    ],
)
async def test_a_broken_stream_is_lost(script: list[bytes | None], why: str) -> None:
    async with Server(script) as server:
        stream = await one(server)
    assert stream.failure is not None
    assert why in stream.failure


async def test_a_refusal_is_lost_with_its_status() -> None:
    async with Server([b'{"error":"busy"}'], status=b"503 Unavailable") as server:
        stream = await one(server)
    assert stream.status == 503
    assert stream.failure is not None
    assert "busy" in stream.failure


async def test_a_silent_stream_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "_LOOK_SECONDS", 0.02)
    never = asyncio.Event()
    async with Server([ROLE, never]) as server:
        stream = await one(server, give_up=0.1)
        never.set()
    assert stream.failure is not None
    assert "no byte for" in stream.failure
    assert stream.longest_gap > 0.1


async def test_nobody_listening_is_a_lost_stream(unused_tcp_port: int) -> None:
    stream = await client.stream(unused_tcp_port, b"", 1.0)
    assert stream.failure is not None
    assert stream.failure.startswith("no connection")


async def test_so_many_streams_are_kept_going_until_it_is_enough() -> None:
    async with Server(*([ROLE + TOKEN + USAGE + DONE] for _ in range(10))) as server:
        streams = await client.keep_streaming(
            server.port, lambda number: client.chat_request(server.port, "m", number, 3), 4, lambda number: number < 10
        )
    assert [stream.failure for stream in streams] == [None] * 10
    prompts = {request["messages"][0]["content"] for request in server.requests}
    assert len(prompts) == 10
