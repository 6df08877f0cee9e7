"""One dependency over HTTP: a pool of connections, what may go wrong with them, and what the caller hears of it.

BentoML's own client is not used, for its streams lose chunk boundaries, cannot be cancelled and are cut by a total
timeout; nor is aiohttp, which costs the gateway more time (`docs/performance.md`). Two weak places of the stack are built
around here. uvicorn closes a connection that was idle for five seconds, which races with a request just sent on it:
connections are given up sooner than that, and a request whose connection was lost before the first byte of an answer is
sent once more, on a new connection. And the socket of a killed worker still accepts connections, for BentoML's arbiter
holds it, and nobody answers them: each probe goes over a connection that the last one left open, which the kernel closes
with the worker. When that happens and a new connection is not answered either, the process is gone, and everybody who
waits for an answer to begin hears so.
"""

from __future__ import annotations

import asyncio
import math
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from services.errors import DeadlineExceeded, NotRunning, Unavailable
from services.gateway.channel import Channel
from services.gateway.hop import ConnectionPool, NotConnected
from services.gateway.streamed import ConnectionLost, Silent
from services.runtime import STATUS_PATH

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence

    from services.gateway.address import Address
    from services.gateway.channel import Seat
    from services.gateway.hop import Connection
    from services.gateway.streamed import StreamedAnswer

    Request = tuple[str, str, Mapping[str, str], bytes]

_UNAUTHORIZED = 401


class NotReached(NotRunning):
    """Nothing of the request was sent, so that another replica may be asked."""


class Upstream:
    """HTTP to one dependency, or to one replica of it. `name` is what messages call it."""

    def __init__(
        self,
        name: str,
        address: Address,
        *,
        connect_timeout: float,
        probe_timeout: float,
        max_age: float = math.inf,
        channel: bool = False,
    ) -> None:
        """`max_age` is how many seconds a connection is used for at most; with `channel`, streams share one: see `services/channel.py`."""
        self.name = name
        self._address = address
        self._connect_timeout = connect_timeout
        self._probe_timeout = probe_timeout
        self._pool = ConnectionPool(address, connect_timeout=connect_timeout, max_age=max_age)
        self._probed = ConnectionPool(address, connect_timeout=connect_timeout, max_age=max_age)
        self._channel = Channel(self._pool) if channel else None
        self._waiting: set[asyncio.Timeout] = set()
        self._gone = False
        self._streams: set[StreamedAnswer] = set()
        self._closed = True

    async def open(self) -> None:
        """Take requests, until `close`."""
        self._closed = False

    def each(self) -> Sequence[Upstream]:
        """Every replica of the dependency: this is one."""
        return (self,)

    def listen(self, listener: Callable[[int], None]) -> None:
        """Call `listener` with how many replicas take requests: it is this one."""
        listener(1)

    async def close(self) -> None:
        """Close every connection."""
        self._closed = True
        if self._channel is not None:
            await self._channel.close()
        self._pool.close()
        self._probed.close()
        for answer in self._streams:
            answer.fail(ConnectionLost(answer_begun=True))

    async def abandon(self) -> None:
        """Break off what is under way, which ends as if the dependency had died."""
        self._give_up_waiting()
        await self.close()

    async def probe(self) -> bytes:
        """What the dependency says of itself, as JSON bytes.

        Raises NotRunning when its process is gone, after everybody who waits for it has heard so; Unavailable when it
        does not answer in time.
        """
        # A connection that was looked over moments ago and is closed now tells of a death as well as one that breaks.
        lost = self._probed.forget_dead() or self._gone
        try:
            async with asyncio.timeout(self._probe_timeout):
                try:
                    status, body = await self._probed.call("GET", STATUS_PATH, {}, b"")
                except ConnectionLost:
                    lost = True
                    status, body = await self._probed.call("GET", STATUS_PATH, {}, b"")
        except TimeoutError:
            if not lost:
                raise Unavailable(f"The {self.name} does not answer.") from None
        except OSError:
            pass
        else:
            self._gone = False
            self._check_let_in(status)
            return body
        self._gone = True
        self._give_up_waiting()
        raise NotRunning(f"The {self.name} is not running.")

    async def call(
        self, method: str, path: str, *, body: bytes = b"", headers: Mapping[str, str], timeout: float
    ) -> tuple[int, bytes]:
        """Status and whole body of one request. Raises Unavailable, or DeadlineExceeded after `timeout` seconds."""
        sent = False
        try:
            async with self._heard_of_death(timeout):
                try:
                    status, answer = await self._pool.call(method, path, headers, body)
                except ConnectionLost as lost:
                    sent = True
                    if lost.answer_begun:
                        raise Unavailable(f"The {self.name} broke off while it answered.") from None
                    await self.probe()
                    status, answer = await self._pool.call(method, path, headers, body, fresh=True)
        except TimeoutError:
            raise DeadlineExceeded(f"The {self.name} did not answer in {timeout:g} s.") from None
        except NotConnected:
            raise (NotRunning if sent else NotReached)(f"The {self.name} is not running.") from None
        except OSError:
            raise NotRunning(f"The {self.name} is not running.") from None
        self._check_let_in(status)
        return status, answer

    @asynccontextmanager
    async def stream(
        self,
        method: str,
        path: str,
        *,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        idle_timeout: float,
    ) -> AsyncIterator[StreamedAnswer]:
        """One request, its answer still to be read. Leaving the context early closes the connection, which is how
        the dependency learns that nobody waits.

        Raises NotReached when no connection is made, Unavailable when it is not there or breaks off, DeadlineExceeded
        when nothing comes for longer than `idle_timeout` seconds. The body's reader sees ConnectionLost and Silent; those
        it lets pass become one of the two.
        """
        connection: Connection | None = None
        seat = self._channel.seat() if self._channel is not None and not self._closed else None
        request = (method, path, headers or {}, body)
        try:
            async with self._heard_of_death(None):
                connection, answer = await self._begin(request, idle_timeout, seat)
            self._check_let_in(answer.status)
            self._streams.add(answer)
            yield answer
        except NotConnected:
            raise NotReached(f"The {self.name} is not running.") from None
        except Silent:
            raise DeadlineExceeded(f"The {self.name} sent nothing for {idle_timeout:g} s.") from None
        except ConnectionLost as lost:
            problem = "broke off while it answered" if lost.answer_begun else "is not running"
            raise Unavailable(f"The {self.name} {problem}.") from None
        finally:
            if seat is not None:
                seat.leave()
            if connection is not None:
                self._streams.discard(answer)
                self._pool.leave(connection)

    @asynccontextmanager
    async def _heard_of_death(self, seconds: float | None) -> AsyncIterator[None]:
        """Bounds what waits for an answer: by `seconds` (TimeoutError), and by the process' death (NotRunning)."""
        bound = asyncio.timeout(seconds)
        try:
            async with bound:
                self._waiting.add(bound)
                yield
        except TimeoutError:
            if bound in self._waiting:
                raise
            raise NotRunning(f"The {self.name} is not running.") from None
        finally:
            self._waiting.discard(bound)

    def _give_up_waiting(self) -> None:
        now = asyncio.get_running_loop().time()
        while self._waiting:
            self._waiting.pop().reschedule(now)

    def _check_let_in(self, status: int) -> None:
        if status == _UNAUTHORIZED:
            raise Unavailable(f"The {self.name} refuses the gateway's token (TANDEM_HOP__TOKEN).")

    async def _begin(
        self, request: Request, idle_timeout: float, seat: Seat | None
    ) -> tuple[Connection, StreamedAnswer]:
        if self._closed:
            raise Unavailable("The server is stopping.")
        if self._address.socket_path is not None:
            try:
                if seat is None:
                    return await self._pool.stream(*request, idle_timeout=idle_timeout)
                method, path, headers, body = request
                headers = {**headers, **seat.headers}
                return await self._pool.stream(method, path, headers, body, idle_timeout=idle_timeout, expect=seat.take)
            except ConnectionLost as lost:
                if lost.answer_begun:
                    raise
                await self.probe()
                if seat is not None:  # pieces of this attempt may still come over the channel, so the next takes none
                    seat.leave()
        return await self._pool.stream(*request, idle_timeout=idle_timeout, fresh=True)
