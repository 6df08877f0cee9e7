"""Bounds what is under way at a backend and what waits for it, and lets callers take turns."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from services.errors import Overloaded
from services.gateway.control.fairness import OVERCOMMIT, FairQueue
from services.gateway.control.work import current, current_request, seconds_left
from services.telemetry.spans import current_span

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable


class Gate:
    """Lets in so many requests and tokens at once; the others wait, so many of them and for so long, in fair turns."""

    def __init__(
        self,
        name: str,
        *,
        requests: int,
        queue: int,
        patience: float,
        admitted: Callable[[float], None],
        tokens: int | None = None,
        quantum: int = 1,
    ) -> None:
        """`patience` is the longest wait in seconds; `quantum` is what one caller may take in its turn, in tokens.

        `admitted` hears of each request that is let in, with the seconds that it waited.
        """
        self._name = name
        self._requests = requests
        self._tokens = tokens
        self.queue_limit = queue
        self._patience = patience
        self._admitted = admitted
        self._waiting: FairQueue[tuple[int, asyncio.Future[None]]] = FairQueue(quantum)
        self.in_flight = 0
        self.tokens_in_flight = 0
        self.queued = 0

    @asynccontextmanager
    async def enter(self, weight: int = 1) -> AsyncIterator[None]:
        """A place for a request of `weight` tokens. Raises Overloaded when the queue is full or the wait too long, and
        DeadlineExceeded when the caller's time is up.
        """
        weight = max(1, weight)
        seconds = seconds_left(self._patience)
        if self._waiting or not self._fits(weight):
            clock = asyncio.get_running_loop().time
            began = clock()
            await self._wait(weight, seconds)
            waited = clock() - began
            line = current_request().line
            line.queue_seconds = round(line.queue_seconds + waited, 6)
            span = current_span()
            if span is not None:
                span.past("queue", waited, {"tandem.backend": self._name})
            self._admitted(waited)
        else:
            self._take(weight)
            self._admitted(0.0)
        try:
            yield
        finally:
            self.in_flight -= 1
            self.tokens_in_flight -= weight
            self._let_in()

    async def _wait(self, weight: int, seconds: float) -> None:
        caller = current().caller
        room = self.queue_limit - self.queued
        if room <= 0:
            raise Overloaded(f"{self.queued} requests already wait for the {self._name}. Try again shortly.")
        if caller and self._waiting.count(caller) >= OVERCOMMIT * room:
            raise Overloaded(f"Your own requests fill your share of the {self._name}'s queue. Try again shortly.")
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.push(caller, weight, (weight, turn))
        self.queued += 1
        try:
            async with asyncio.timeout(seconds):
                await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled():  # let in at the very moment of leaving
                self.in_flight -= 1
                self.tokens_in_flight -= weight
            else:
                turn.cancel()
                self.queued -= 1
                self._waiting.keep(lambda one: not one[1].done())
            self._let_in()
            if isinstance(error, TimeoutError):
                seconds_left(self._patience)
                raise Overloaded(f"The {self._name} had no time within {self._patience:g} s.") from None
            raise

    def _let_in(self) -> None:
        while self._waiting and self._fits(self._waiting.next_weight()):
            weight, turn = self._waiting.pop()
            if turn.done():
                continue
            self.queued -= 1
            self._take(weight)
            turn.set_result(None)

    def _take(self, weight: int) -> None:
        self.in_flight += 1
        self.tokens_in_flight += weight

    def _fits(self, weight: int) -> bool:
        """One that is larger than all the room there is goes alone."""
        if not self.in_flight:
            return True
        if self.in_flight >= self._requests:
            return False
        return self._tokens is None or self.tokens_in_flight + weight <= self._tokens
