"""A dependency elsewhere, as many replicas as its name has addresses: each call goes to a ready one that has little to do.

The name is looked up again every few seconds, so replicas come and go as an orchestrator's DNS says (a headless Service in
Kubernetes). A request that could not be sent to one is sent to the next; one that was sent is never sent to another, for what
killed the first could kill them all. One that is ready nowhere is answered for by the replicas together.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import TYPE_CHECKING

import msgspec

from services.errors import NotRunning, Unavailable
from services.gateway.upstream import NotReached, Upstream

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence

    from services.gateway.streamed import Answer

logger = logging.getLogger("tandem.gateway")

_NOT_FOUND = 404


class _Said(msgspec.Struct):
    state: str = "ready"


_said = msgspec.json.Decoder(_Said).decode


class _Replica:
    """One address, and what is known of it."""

    __slots__ = ("answers", "in_flight", "leaving", "ready", "upstream")

    def __init__(self, upstream: Upstream) -> None:
        self.upstream = upstream
        self.in_flight = 0
        self.answers = True
        """Whether it answered when last asked how it is."""
        self.ready = True
        """Whether it said then that it takes requests."""
        self.leaving = False
        """Whether its address is no longer one of the name's."""


class Replicas:
    """As `Upstream`, over all replicas."""

    def __init__(
        self,
        name: str,
        make: Callable[[str], Upstream],
        resolve: Callable[[], Awaitable[Sequence[str]]],
        interval: float,
        *,
        differ: bool = False,
    ) -> None:
        """Ask `resolve` every `interval` seconds for the hosts, of each of which `make` makes an upstream.

        `differ` says that one may have what another has not, so that a 404 of one is asked of the others.
        """
        self.name = name
        self._make = make
        self._resolve = resolve
        self._interval = interval
        self._differ = differ
        self._replicas: dict[str, _Replica] = {}
        self._leaving: set[_Replica] = set()
        self._turn = 0
        self._listener: Callable[[int], None] | None = None
        self._task: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Look the name up, and keep looking."""
        await self._look()
        self._task = asyncio.get_running_loop().create_task(self._watch())

    async def close(self) -> None:
        """Close every connection."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        for replica in (*self._replicas.values(), *self._leaving):
            await replica.upstream.close()

    async def abandon(self) -> None:
        """Break off what is under way, which ends as if every replica had died."""
        for replica in (*self._replicas.values(), *self._leaving):
            await replica.upstream.abandon()

    def each(self) -> Sequence[Upstream]:
        """Every replica that takes requests."""
        return [replica.upstream for replica in self._usable()]

    def listen(self, listener: Callable[[int], None]) -> None:
        """Call `listener` with how many replicas take requests: now, and after each look at them or their name."""
        self._listener = listener
        self._tell()

    async def probe(self) -> bytes:
        """What a replica says of itself, of one that is ready where there is one. Raises Unavailable when none answers."""
        replicas = tuple(self._replicas.values())
        found = await asyncio.gather(*(self._ask(replica) for replica in replicas))
        self._tell()
        answers = [
            (replica.ready, body) for replica, body in zip(replicas, found, strict=True) if isinstance(body, bytes)
        ]
        if answers:
            return max(answers, key=lambda one: one[0])[1]
        problems = [problem for problem in found if isinstance(problem, Unavailable)]
        alive = next((problem for problem in problems if not isinstance(problem, NotRunning)), None)
        raise alive or NotRunning(f"The {self.name} is not running.")

    async def call(
        self,
        method: str,
        path: str,
        *,
        body: bytes = b"",
        headers: Mapping[str, str],
        timeout: float,
    ) -> tuple[int, bytes]:
        """See `Upstream.call`."""
        answer: tuple[int, bytes] | None = None
        for replica in self._in_turn():
            replica.in_flight += 1
            try:
                answer = await replica.upstream.call(method, path, body=body, headers=headers, timeout=timeout)
            except NotReached:
                replica.answers = replica.ready = False
                continue
            finally:
                await self._left(replica)
            if not self._differ or answer[0] != _NOT_FOUND:
                return answer
        if answer is None:
            raise NotRunning(f"The {self.name} is not running.")
        return answer

    @asynccontextmanager
    async def stream(
        self,
        method: str,
        path: str,
        *,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        idle_timeout: float,
    ) -> AsyncIterator[Answer]:
        """See `Upstream.stream`."""
        for replica in self._in_turn():
            async with AsyncExitStack() as stack:
                replica.in_flight += 1
                stack.push_async_callback(self._left, replica)
                try:
                    response = await stack.enter_async_context(
                        replica.upstream.stream(method, path, body=body, headers=headers, idle_timeout=idle_timeout)
                    )
                except NotReached:
                    replica.answers = replica.ready = False
                    continue
                yield response
                return
        raise NotRunning(f"The {self.name} is not running.")

    def _usable(self) -> list[_Replica]:
        """Those that are ready; where none is, those that answer, to say why; where none does, all."""
        replicas = list(self._replicas.values())
        return (
            [replica for replica in replicas if replica.ready]
            or [replica for replica in replicas if replica.answers]
            or replicas
        )

    def _in_turn(self) -> Iterator[_Replica]:
        """Those to ask, one after another: the one with the fewest requests under way first, taking turns among equals."""
        left = self._usable()
        while left:
            self._turn += 1
            start = self._turn % len(left)
            best = min((*left[start:], *left[:start]), key=lambda replica: replica.in_flight)
            yield best
            left.remove(best)

    async def _ask(self, replica: _Replica) -> bytes | Unavailable:
        try:
            body = await replica.upstream.probe()
        except Unavailable as problem:
            replica.answers = replica.ready = False
            return problem
        replica.answers = True
        try:
            replica.ready = _said(body).state == "ready"
        except msgspec.DecodeError:
            replica.ready = False
        return body

    def _tell(self) -> None:
        if self._listener is not None:
            self._listener(sum(replica.ready for replica in self._replicas.values()))

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self._interval)
            await self._look()

    async def _look(self) -> None:
        """Follow the name; while it cannot be looked up, its last addresses stand."""
        try:
            hosts = await self._resolve()
        except OSError as error:
            logger.debug("The address of the %s cannot be looked up: %s", self.name, error)
            return
        for host in hosts:
            if host not in self._replicas:
                upstream = self._make(host)
                await upstream.open()
                self._replicas[host] = _Replica(upstream)
        for host in [host for host in self._replicas if host not in hosts]:
            replica = self._replicas.pop(host)
            replica.leaving = True
            self._leaving.add(replica)
            await self._retire(replica)
        self._tell()

    async def _left(self, replica: _Replica) -> None:
        replica.in_flight -= 1
        if replica.leaving:
            await self._retire(replica)

    async def _retire(self, replica: _Replica) -> None:
        """Close what nobody uses any more; answers under way are read to their end."""
        if not replica.in_flight and replica in self._leaving:
            self._leaving.discard(replica)
            await replica.upstream.close()
