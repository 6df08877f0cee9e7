"""An HTTP/1.1 server on a Unix socket or a port where the test decides, byte for byte, what becomes of each request."""

from __future__ import annotations

import asyncio
import itertools
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from services.runtime import STATUS_PATH

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path


@dataclass
class Request:
    """One request that came in."""

    connection: int
    """Which connection it came on, from 1."""
    number: int
    """Which request on that connection it is, from 1."""
    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    writer: asyncio.StreamWriter

    async def write(self, data: bytes) -> None:
        """Send bytes of the answer."""
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self, body: bytes, status: str = "200 OK", headers: str = "") -> None:
        """Send a whole answer."""
        await self.write(f"HTTP/1.1 {status}\r\ncontent-length: {len(body)}\r\n{headers}\r\n".encode() + body)

    async def begin(self, headers: str = "") -> None:
        """Send the head of a chunked answer."""
        await self.write(f"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n{headers}\r\n".encode())

    async def chunk(self, data: bytes) -> None:
        """Send one chunk; the empty one ends the answer."""
        await self.write(b"%x\r\n%b\r\n" % (len(data), data))

    def hang_up(self) -> None:
        """Close the connection."""
        self.writer.close()


class Server:
    """Keeps what came in. Status requests are answered by `on_probe`, all others by `on_request`."""

    def __init__(self, on_request: Callable[[Request], Awaitable[None]]) -> None:
        self.on_request = on_request
        self.on_probe: Callable[[Request], Awaitable[None]] = lambda request: request.answer(b'{"state": "ready"}')
        self.requests: list[Request] = []
        self.probes = 0
        self.connections = 0
        self.open = 0
        """Connections that the client has not closed."""
        self.closed = asyncio.Event()
        """Set when a client closed a connection."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: list[asyncio.StreamWriter] = []

    def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """A client has connected."""
        self.connections += 1
        self.open += 1
        self._writers.append(writer)
        self._tasks.add(asyncio.ensure_future(self._serve(reader, writer, self.connections)))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connection: int) -> None:
        try:
            for number in itertools.count(1):
                request = await _read(reader, writer, connection, number)
                self._tasks.add(asyncio.ensure_future(self._answer(request)))
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()
        finally:
            self.open -= 1
            self.closed.set()

    async def _answer(self, request: Request) -> None:
        if request.path == STATUS_PATH:
            self.probes += 1
            await self.on_probe(request)
        else:
            self.requests.append(request)
            await self.on_request(request)

    async def stop(self) -> None:
        """Drop every connection."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for writer in self._writers:
            writer.transport.abort()
        await asyncio.sleep(0)


async def _read(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connection: int, number: int) -> Request:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    first, *lines = head.strip().split("\r\n")
    method, path, _ = first.split(" ")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Request(connection, number, method, path, headers, body, writer)


@asynccontextmanager
async def serving(on_request: Callable[[Request], Awaitable[None]], socket: Path) -> AsyncIterator[Server]:
    """A running `Server` on `socket`."""
    server = Server(on_request)
    listener = await asyncio.start_unix_server(server.connected, str(socket))
    try:
        yield server
    finally:
        listener.close()
        await server.stop()
        await listener.wait_closed()


@asynccontextmanager
async def serving_tcp(
    on_request: Callable[[Request], Awaitable[None]], port: int = 0, tls: ssl.SSLContext | None = None
) -> AsyncIterator[tuple[Server, int]]:
    """A running `Server` and its port on this machine; leaving drops the port and every connection, as a death does."""
    server = Server(on_request)
    listener = await asyncio.start_server(server.connected, "127.0.0.1", port, ssl=tls)
    try:
        yield server, int(listener.sockets[0].getsockname()[1])
    finally:
        listener.close()
        await server.stop()
        await listener.wait_closed()


class Name:
    """What a name stands for: ports on this machine, which the test changes."""

    def __init__(self, *ports: int) -> None:
        self.ports: list[int] = list(ports)
        self.looked = asyncio.Event()
        self.broken = False

    async def resolve(self) -> list[str]:
        self.looked.set()
        if self.broken:
            raise OSError("no such name")
        return [str(port) for port in self.ports]

    async def followed(self) -> None:
        """Wait until the name was looked up, and what came of it is done."""
        for _ in range(2):
            self.looked.clear()
            await self.looked.wait()
