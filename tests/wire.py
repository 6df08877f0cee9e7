"""Requests as bytes, for what no HTTP client would send."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@dataclass(frozen=True)
class Heard:
    """One answer."""

    status: int
    headers: dict[str, str]
    body: bytes


class _Reader(asyncio.StreamReader):
    """Keeps what came before the connection broke: an answer, often."""

    def set_exception(self, exc: BaseException) -> None:
        self.feed_eof()


class Wire:
    """One connection to a server."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, data: bytes) -> None:
        """Write `data`; what the server does not take any more is lost."""
        try:
            self._writer.write(data)
            await self._writer.drain()
        except ConnectionError:
            return

    async def answer(self) -> Heard:
        """The next answer, whole. EOFError when the connection ends before it."""
        head = await self._reader.readuntil(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        status = int(first.split(" ")[1])
        if "transfer-encoding" in headers:
            return Heard(status, headers, await self._chunks())
        return Heard(status, headers, await self._reader.readexactly(int(headers.get("content-length", 0))))

    async def ask(self, data: bytes) -> Heard:
        """The answer to `data`."""
        await self.send(data)
        return await self.answer()

    async def rest(self) -> bytes:
        """What still comes until the server closes the connection."""
        return await self._reader.read()

    def close(self) -> None:
        """Drop the connection."""
        self._writer.transport.abort()

    async def _chunks(self) -> bytes:
        parts = []
        while size := int(await self._reader.readuntil(b"\r\n"), 16):
            parts.append(await self._reader.readexactly(size))
            await self._reader.readexactly(2)
        await self._reader.readexactly(2)
        return b"".join(parts)


@asynccontextmanager
async def wire(path: Path) -> AsyncIterator[Wire]:
    """A connection to the Unix socket at `path`."""
    loop = asyncio.get_running_loop()
    reader = _Reader()
    protocol = asyncio.StreamReaderProtocol(reader)
    transport, _ = await loop.create_unix_connection(lambda: protocol, str(path))
    connection = Wire(reader, asyncio.StreamWriter(transport, protocol, reader, loop))
    try:
        yield connection
    finally:
        connection.close()


def request(target: bytes = b"/", *headers: bytes, method: bytes = b"GET", body: bytes = b"") -> bytes:
    """A request whose length is announced unless `headers` say how its body is framed."""
    framed = any(line.lower().startswith((b"content-length", b"transfer-encoding")) for line in headers)
    lines = [b"%b %b HTTP/1.1" % (method, target), b"host: tandem", *headers]
    if not framed and body:
        lines.append(b"content-length: %d" % len(body))
    return b"\r\n".join((*lines, b"", body))
