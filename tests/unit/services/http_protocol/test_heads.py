"""How long a head may be, byte for byte, to a real uvicorn."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest

from services.http_protocol import LONGEST_HEAD
from tests.unit.services.http_protocol.echoing import CHUNKED, POST, connected
from tests.wire import request

if TYPE_CHECKING:
    from pathlib import Path

    from tests.wire import Wire

LONG = {
    "target": request(b"/" + b"a" * LONGEST_HEAD),
    "query": request(b"/?" + b"a" * LONGEST_HEAD),
    "header": request(b"/", b"x: " + b"a" * LONGEST_HEAD),
    "name": request(b"/", b"a" * LONGEST_HEAD + b": x"),
    "headers": request(b"/", *[b"x: y"] * 20_000),
    "unfinished header": request(b"/", b"x: " + b"a" * 2 * LONGEST_HEAD)[:-4],
    "nothing but lines": b"\r\n" * 100_000,
    "trailer": request(b"/", CHUNKED, method=POST, body=b"2\r\nhi\r\n0\r\nx: " + b"a" * 10 * LONGEST_HEAD),
    "chunk extension": request(b"/", CHUNKED, method=POST, body=b"2;" + b"a" * 10 * LONGEST_HEAD),
}


@pytest.mark.parametrize("name", LONG)
@pytest.mark.parametrize("piece", [4000, 10**6])
async def test_long_head_is_refused_however_it_comes(tmp_path: Path, name: str, piece: int) -> None:
    data = LONG[name]
    async with connected(tmp_path) as client:
        sending = asyncio.create_task(_in_pieces(client, data, piece))
        heard = await client.answer()
        assert (heard.status, heard.headers["connection"]) == (431, "close")
        assert await client.rest() == b""
        await sending


async def _in_pieces(client: Wire, data: bytes, piece: int) -> None:
    for at in range(0, len(data), piece):
        await client.send(data[at : at + piece])
        await asyncio.sleep(0)


async def test_head_just_below_the_limit_passes_behind_a_large_body(tmp_path: Path) -> None:
    large = request(b"/", method=POST, body=b"x" * 900_000)
    async with connected(tmp_path) as client:
        sending = asyncio.create_task(client.send(large + request(b"/long", b"x: " + b"a" * (LONGEST_HEAD - 100))))
        assert len(json.loads((await client.answer()).body)["body"]) == 900_000
        assert json.loads((await client.answer()).body)["path"] == "/long"
        await sending
