"""A small HTTP/1.1 client for a dependency: the hop is on every prediction's path, and under every token of a stream.

It does what the hop needs and nothing else: POST or GET, a body of known length, the answer whole or as it comes, connections kept
open. aiohttp costs about four times as much of the gateway's time a call (`docs/performance.md`). Parsing is llhttp's, through
httptools, as in uvicorn at the other end.
"""

from __future__ import annotations

import asyncio
import math
import ssl
from collections import deque
from typing import TYPE_CHECKING, cast

import httptools

from services.gateway.streamed import ConnectionLost, StreamedAnswer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from services.gateway.address import Address

    Expect = Callable[[StreamedAnswer], None]

_KEEP_ALIVE_SECONDS = 3.0
"""uvicorn closes a connection that was idle for five; ours are given up before that race can happen."""


class NotConnected(ConnectionError):
    """No connection could be made."""


class Connection(asyncio.Protocol):
    """One connection, one request at a time."""

    def __init__(self) -> None:
        self.idle_since = 0.0
        self.made_at = 0.0
        self.reusable = True
        self._transport: asyncio.Transport | None = None
        self._parser: httptools.HttpResponseParser | None = None
        self._answer: asyncio.Future[tuple[int, bytes]] | None = None
        self._streamed: StreamedAnswer | None = None
        self._begun = False
        self._parts: list[bytes] = []

    async def request(self, data: bytes) -> tuple[int, bytes]:
        """Send `data`, one whole request, and wait for status and body. Raises ConnectionLost."""
        transport = self._connected()
        self._begun = False
        self._parts = []
        self._parser = httptools.HttpResponseParser(self)
        self._answer = asyncio.get_running_loop().create_future()
        transport.write(data)
        try:
            return await self._answer
        except BaseException:
            self.close()
            raise

    async def stream(self, data: bytes, idle_timeout: float, expect: Expect | None = None) -> StreamedAnswer:
        """Send `data`, one whole request, and wait for the head of its answer, which `expect` is given before that.

        Raises ConnectionLost, or Silent when nothing comes for `idle_timeout` seconds, here or from the answer.
        """
        transport = self._connected()
        self._begun = False
        answer = self._streamed = StreamedAnswer(transport, idle_timeout)
        if expect is not None:
            expect(answer)
        transport.write(data)
        try:
            await answer.begin()
        except BaseException:
            self.left()
            self.close()
            raise
        return answer

    def close(self) -> None:
        """Drop the connection."""
        self.reusable = False
        if self._transport is not None:
            self._transport.abort()

    def left(self) -> None:
        """Nobody reads the streamed answer any more; what has not come whole is not waited for."""
        answer, self._streamed = self._streamed, None
        if answer is not None:
            answer.end()
            self.reusable = self.reusable and answer.keeps_alive

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._begun = True
        try:
            if self._parser is not None:
                self._parser.feed_data(data)
            elif self._streamed is not None:
                self._streamed.feed(data)
            else:
                self.close()  # bytes that nobody asked for
        except httptools.HttpParserError:
            self._lost()
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the protocol's signature
        self.reusable = False
        self._lost()

    def on_body(self, body: bytes) -> None:
        """Called by the parser for each part of the body."""
        self._parts.append(body)

    def on_message_complete(self) -> None:
        """Called by the parser at the end of the answer."""
        assert self._parser is not None
        if self._answer is not None and not self._answer.done():
            self._answer.set_result((self._parser.get_status_code(), b"".join(self._parts)))
        self.reusable = self.reusable and self._parser.should_keep_alive()
        self._parser = None

    def _connected(self) -> asyncio.Transport:
        if self._transport is None or self._transport.is_closing():
            raise ConnectionLost(answer_begun=False)
        return self._transport

    def _lost(self) -> None:
        if self._streamed is not None and not self._streamed.has_ended:  # what is missing comes over a channel
            self._streamed.fail(ConnectionLost(answer_begun=self._begun))
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ConnectionLost(answer_begun=self._begun))


class ConnectionPool:
    """Connections to one address, opened as they are needed and kept for a moment."""

    def __init__(self, address: Address, *, connect_timeout: float, max_age: float = math.inf) -> None:
        """`max_age` is how many seconds a connection is used for at most."""
        self._address = address
        self._head = "\r\n".join(f"{name}: {value}" for name, value in address.headers.items())
        self._tls = ssl.create_default_context() if address.secure else None
        self._connect_timeout = connect_timeout
        self._max_age = max_age
        self._idle: deque[Connection] = deque()

    async def call(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes, *, fresh: bool = False
    ) -> tuple[int, bytes]:
        """Status and body of one request; `fresh` asks for a new connection, which is not kept either.

        Raises ConnectionLost; NotConnected when none can be opened, and so nothing was sent.
        """
        data = self._request(method, path, headers, body)
        connection = (None if fresh else self._kept()) or await self._connect()
        answer = await connection.request(data)
        self._keep(connection, keeps=not fresh)
        return answer

    async def stream(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes,
        *,
        idle_timeout: float,
        fresh: bool = False,
        expect: Expect | None = None,
    ) -> tuple[Connection, StreamedAnswer]:
        """As `call`, the body still to be read; `leave` must follow. `expect` is given the answer before anything of it comes. Raises
        Silent when nothing comes for `idle_timeout` seconds.
        """
        data = self._request(method, path, headers, body)
        connection = (None if fresh else self._kept()) or await self._connect()
        connection.reusable = not fresh
        return connection, await connection.stream(data, idle_timeout, expect)

    def leave(self, connection: Connection) -> None:
        """Nobody reads the streamed answer any more: one that has not come whole is not waited for, and its connection closed."""
        connection.left()
        self._keep(connection)

    def forget_dead(self) -> bool:
        """Drop the idle connections that the other end has closed; whether there were any."""
        alive = [connection for connection in self._idle if connection.reusable]
        found = len(alive) < len(self._idle)
        self._idle = deque(alive)
        return found

    def close(self) -> None:
        """Drop every idle connection."""
        while self._idle:
            self._idle.pop().close()

    def _request(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> bytes:
        lines = [f"{method} {path} HTTP/1.1", self._head, f"content-length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        return "\r\n".join((*lines, "", "")).encode("latin-1") + body

    def _keep(self, connection: Connection, *, keeps: bool = True) -> None:
        if keeps and connection.reusable:
            connection.idle_since = asyncio.get_running_loop().time()
            self._idle.append(connection)
        else:
            connection.close()

    def _kept(self) -> Connection | None:
        now = asyncio.get_running_loop().time()
        oldest = now - _KEEP_ALIVE_SECONDS
        while self._idle and self._idle[0].idle_since < oldest:
            self._idle.popleft().close()
        while self._idle:
            connection = self._idle.pop()
            if connection.reusable and now - connection.made_at < self._max_age:
                return connection
            connection.close()
        return None

    async def _connect(self) -> Connection:
        loop = asyncio.get_running_loop()
        to = self._address
        try:
            async with asyncio.timeout(self._connect_timeout):
                if to.socket_path is not None:
                    _, connection = await loop.create_unix_connection(Connection, to.socket_path)
                else:
                    _, connection = await loop.create_connection(
                        Connection, to.host, to.port, ssl=self._tls, server_hostname=to.name if to.secure else None
                    )
        except TimeoutError:  # not to be taken for the caller's own deadline
            raise NotConnected("No connection was made in time.") from None
        except OSError as error:
            raise NotConnected(str(error)) from None
        connection.made_at = loop.time()
        return connection
