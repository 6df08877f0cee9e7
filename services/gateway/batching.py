"""Adaptive batching: rows that wait together travel together.

A call is sent as soon as one may be (no fixed wait), and carries everything that has come in until then. An idle
server therefore adds no delay, and a busy one sends ever larger batches, up to `max_rows`.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import msgspec

from services.errors import DeadlineExceeded, InternalError, Overloaded, ServingError, Unavailable
from services.gateway.control.fairness import FairQueue
from services.gateway.control.work import NO_LINE, Request, Work, current_request, work_for
from services.telemetry.spans import current_span, make_current

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from services.telemetry.access_log import AccessLine
    from services.telemetry.spans import TraceSpan

Payload = TypeVar("Payload")
Result = TypeVar("Result")

_SWEEP_SECONDS = 0.05
_TURNS = 8
"""A caller's turn is this part of a batch: that many callers find a place in each, whoever floods."""


class _Item(msgspec.Struct, Generic[Payload, Result], eq=False):
    """One call of `submit`; a struct is made in a third of a dataclass' time."""

    payload: Payload
    rows: int
    deadline: float
    queued_at: float
    line: AccessLine
    span: TraceSpan | None
    future: asyncio.Future[Result]


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """Bounds of one `Batcher`; see `services.settings.gateway.BatchingSettings` for the meaning of each."""

    max_rows: int
    max_in_flight: int
    max_queued_rows: int


class Batcher(Generic[Payload, Result]):
    """Coalesces the payloads of concurrent callers into calls of `call`, for one model.

    `call` gets the payloads of one batch and returns as many results, in order. A caller that is cancelled leaves its
    batch unhurt; when a batch of several fails for a reason that may lie in one of them, each is tried alone, so
    that only the culprit sees the error.
    """

    def __init__(
        self,
        call: Callable[[Sequence[Payload]], Awaitable[Sequence[Result]]],
        limits: BatchLimits,
        observe: Callable[[int, float], None],
    ) -> None:
        """`observe(rows, waited)` hears of every batch sent: its rows, and the seconds its oldest payload waited."""
        self._call = call
        self._limits = limits
        self._allowed = limits.max_in_flight
        self._observe = observe
        self._queue: FairQueue[_Item[Payload, Result]] = FairQueue(limits.max_rows // _TURNS)
        self._running: set[asyncio.Task[None]] = set()
        self._under_way: set[_Item[Payload, Result]] = set()
        self._flush_due = False
        self._sweep: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop

    @property
    def queued_rows(self) -> int:
        """Rows that wait for a batch to leave with."""
        return self._queue.weight

    @property
    def in_flight(self) -> int:
        """Batches under way."""
        return len(self._running)

    def widen(self, replicas: int) -> None:
        """There are so many now to call: `max_in_flight` is for each of them."""
        self._allowed = self._limits.max_in_flight * replicas

    async def submit(self, payload: Payload, rows: int, seconds: float) -> Result:
        """The result for `payload`, which weighs `rows` rows, within `seconds`.

        Callers take turns. Raises Overloaded when the queue, or the caller's share of it, is full, DeadlineExceeded when
        the time is up, and what `call` raised.
        """
        request = current_request()
        caller = request.work.caller
        if not self._queue.has_room(caller, rows, self._limits.max_queued_rows):
            raise Overloaded(f"{self._queue.weight} rows already wait for this model. Try again shortly.")
        if seconds <= 0:
            raise DeadlineExceeded("The time that the caller gave ran out before the work began.")
        if self._sweep is None:
            self._loop = asyncio.get_running_loop()
            self._sweep = self._loop.call_later(_SWEEP_SECONDS, self._expire)
        loop = self._loop  # to find it costs a system call
        now = loop.time()
        item: _Item[Payload, Result] = _Item(
            payload, rows, now + seconds, now, request.line, current_span(), loop.create_future()
        )
        self._queue.push(caller, rows, item)
        if not self._flush_due and len(self._running) < self._allowed:
            self._flush_due = True
            loop.call_soon(self._flush)
        return await item.future

    def abandon(self) -> None:
        """Fail with Unavailable what waits and what is under way."""
        _fail([*self._queue, *self._under_way], Unavailable("The server is stopping."))
        self._queue.clear()
        for task in self._running:
            task.cancel()

    async def close(self) -> None:
        """Fail what waits with Unavailable and wait for what is under way."""
        _fail([*self._queue], Unavailable("The server is stopping."))
        self._queue.clear()
        if self._sweep is not None:
            self._sweep.cancel()
            self._sweep = None
        await asyncio.gather(*self._running, return_exceptions=True)

    def _flush(self) -> None:
        self._flush_due = False
        while self._queue and len(self._running) < self._allowed:
            batch = self._take()
            if not batch:
                return
            rows = sum(item.rows for item in batch)
            task = asyncio.get_running_loop().create_task(self._run(batch, rows))
            self._running.add(task)
            task.add_done_callback(self._finished)
            now = asyncio.get_running_loop().time()
            self._observe(rows, now - min(item.queued_at for item in batch))

    def _take(self) -> list[_Item[Payload, Result]]:
        batch: list[_Item[Payload, Result]] = []
        rows = 0
        now = asyncio.get_running_loop().time()
        queued_at, waited = -1.0, 0.0
        while self._queue and (not batch or rows + self._queue.next_weight() <= self._limits.max_rows):
            item = self._queue.pop()
            if _waits(item, now):
                batch.append(item)
                rows += item.rows
                if item.queued_at != queued_at:  # most came together
                    queued_at = item.queued_at
                    waited = round(now - queued_at, 6)
                line = item.line
                if waited and line is not NO_LINE:
                    before = line.queue_seconds
                    line.queue_seconds = round(before + waited, 6) if before else waited
        return batch

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._flush()

    async def _run(self, batch: list[_Item[Payload, Result]], rows: int) -> None:
        self._under_way.update(batch)
        deadline = max(item.deadline for item in batch)
        work_for(Request(NO_LINE, Work(deadline)))  # and not for the one in whose context this task began
        span = _span_of(batch, rows)
        make_current(span)
        try:
            await self._attempt(batch)
        except asyncio.CancelledError:
            _fail(batch, Unavailable("The call was given up."))
            raise
        finally:
            self._under_way.difference_update(batch)
            if span is not None:
                span.end()

    async def _attempt(self, batch: list[_Item[Payload, Result]]) -> None:
        try:
            results = await self._call([item.payload for item in batch])
            if len(results) != len(batch):
                raise InternalError(f"A batch of {len(batch)} came back with {len(results)} results.")  # noqa: TRY301
        except (Unavailable, Overloaded, DeadlineExceeded) as error:
            _fail(batch, error)
        except Exception as error:  # noqa: BLE001 - whatever went wrong, each caller must hear of it
            if len(batch) == 1:
                _fail(batch, error)
                return
            for item in batch:
                if _waits(item, asyncio.get_running_loop().time()):
                    await self._attempt([item])
        else:
            for item, result in zip(batch, results, strict=True):
                if not item.future.done():
                    item.future.set_result(result)

    def _expire(self) -> None:
        loop = asyncio.get_running_loop()
        self._sweep = None
        now = loop.time()
        for item in self._under_way:
            _waits(item, now)
        self._queue.keep(lambda item: _waits(item, now))
        if self._queue or self._under_way:
            self._sweep = loop.call_later(_SWEEP_SECONDS, self._expire)


def _waits(item: _Item[Payload, Result], now: float) -> bool:
    """Whether somebody still waits for the result; one whose time is up at `now` hears of it here."""
    if item.deadline <= now and not item.future.done():
        item.future.set_exception(DeadlineExceeded("The prediction did not come in time."))
    return not item.future.done()


def _span_of(batch: Sequence[_Item[Any, Any]], rows: int) -> TraceSpan | None:
    """The span of a batch of so many rows that leaves now: below the first request in it that is sampled, and linked with the others, whose
    time in the queue is linked with it. None when nobody in it is sampled.
    """
    sampled = [(item.span, item) for item in batch if item.span is not None]
    if not sampled:
        return None
    (lead, first), *others = sampled
    links = [one for one, _ in others]
    span = lead.child("batch", {"tandem.batch.requests": len(batch), "tandem.batch.rows": rows}, links)
    now = asyncio.get_running_loop().time()
    lead.past("queue", now - first.queued_at, {})
    for one, item in others:
        one.past("queue", now - item.queued_at, {}, (span,))
    return span


def _fail(batch: Sequence[_Item[Payload, Result]], error: Exception) -> None:
    """Let everybody in `batch` who has not heard yet hear of `error`."""
    known = error if isinstance(error, ServingError) else InternalError("The model failed on this request.")
    if known is not error:
        known.__cause__ = error
    for item in batch:
        if not item.future.done():
            item.future.set_exception(known)
