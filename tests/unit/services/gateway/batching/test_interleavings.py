"""The batcher's promises over drawn arrivals, deadlines, cancellations and outages."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.errors import DeadlineExceeded, InternalError, Overloaded, Unavailable
from services.gateway.batching import Batcher, BatchLimits
from tests.unit.services.gateway.batching.doubling import SWEEP
from tests.virtual_time import run_virtually

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class Caller:
    """One caller of a drawn scenario."""

    gap: float
    """Seconds after the caller before."""
    rows: int
    patience: float
    cancels_after: float | None
    poisoned: bool


@dataclass(frozen=True)
class Scenario:
    callers: list[Caller]
    limits: BatchLimits
    durations: list[float]
    outages: list[bool]
    """Whether each call finds the dependency down; afterwards it is up."""


GAPS = st.sampled_from([0.0, 0.0, 0.0, 0.01, 0.2, 1.0])
CALLERS = st.builds(
    Caller,
    gap=GAPS,
    rows=st.integers(1, 12),
    patience=st.sampled_from([0.0, 0.04, 0.3, 1.0, 1000.0, 1000.0]),
    cancels_after=st.none() | st.sampled_from([0.0, 0.01, 0.3, 2.0]),
    poisoned=st.sampled_from([False, False, False, True]),
)
SCENARIOS = st.builds(
    Scenario,
    callers=st.lists(CALLERS, min_size=1, max_size=25),
    limits=st.builds(
        BatchLimits,
        max_rows=st.integers(1, 16),
        max_in_flight=st.integers(1, 3),
        max_queued_rows=st.integers(1, 60),
    ),
    durations=st.lists(st.sampled_from([0.0, 0.013, 0.043, 0.5, 3.0]), min_size=1, max_size=8),
    outages=st.lists(st.booleans(), max_size=4),
)


class Poison(Exception):
    """Raised by a call that holds a poisoned payload."""


@dataclass
class Outcome:
    """What became of one caller."""

    arrived: float
    ended: float
    result: object


class Trial:
    """Runs one scenario and checks it, with the index of a caller as its payload."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.sent: dict[int, list[float]] = {}
        self.down: set[int] = set()
        self.first_sent: list[int] = []
        self.running = 0
        self.left: dict[int, float] = {}
        self.observed: list[int] = []
        self.outages = deque(scenario.outages)
        self.calls = 0
        self.batcher: Batcher[int, tuple[str, int]] = Batcher(
            self.call, scenario.limits, lambda rows, _: self.observed.append(rows)
        )

    async def call(self, payloads: Sequence[int]) -> list[tuple[str, int]]:
        scenario, now = self.scenario, asyncio.get_running_loop().time()
        rows = sum(scenario.callers[index].rows for index in payloads)
        assert payloads, "an empty batch was sent"
        assert rows <= scenario.limits.max_rows or len(payloads) == 1
        for index in payloads:
            if index not in self.sent:
                self.first_sent.append(index)
                assert now <= self.deadline_of[index], "expired work was sent"
                assert index not in self.left, "abandoned work was sent"
            self.sent.setdefault(index, []).append(now)
        self.running += 1
        assert self.running <= scenario.limits.max_in_flight
        duration = scenario.durations[self.calls % len(scenario.durations)]
        self.calls += 1
        try:
            await asyncio.sleep(duration)
        finally:
            self.running -= 1
        if self.outages and self.outages.popleft():
            self.down.update(payloads)
            raise Unavailable("gone")
        if any(scenario.callers[index].poisoned for index in payloads):
            raise Poison
        return [("answer", index) for index in payloads]

    async def caller(self, index: int) -> Outcome:
        caller, loop = self.scenario.callers[index], asyncio.get_running_loop()
        arrived = loop.time()
        self.deadline_of[index] = arrived + caller.patience
        work = asyncio.ensure_future(self.submit(index, caller))
        if caller.cancels_after is not None:
            await asyncio.wait((work,), timeout=caller.cancels_after)
            if work.cancel():
                self.left[index] = loop.time()
        result = (await asyncio.gather(work, return_exceptions=True))[0]
        return Outcome(arrived, loop.time(), result)

    async def submit(self, index: int, caller: Caller) -> tuple[str, int]:
        queued = self.batcher.queued_rows
        full = bool(queued) and queued + caller.rows > self.scenario.limits.max_queued_rows
        try:
            answer = await self.batcher.submit(index, caller.rows, caller.patience)
        except Overloaded:
            assert full, "refused though there was room"
            raise
        assert not full, "accepted though the queue was full"
        return answer

    async def run(self) -> None:
        self.deadline_of: dict[int, float] = {}
        tasks = []
        for index, caller in enumerate(self.scenario.callers):
            if caller.gap:
                await asyncio.sleep(caller.gap)
            tasks.append(asyncio.create_task(self.caller(index)))
        for index, outcome in enumerate(await asyncio.gather(*tasks)):
            self.check(index, outcome)
        await asyncio.sleep(1000)
        assert self.batcher.queued_rows == 0
        assert self.batcher.in_flight == 0
        assert not self.batcher._under_way
        assert self.batcher._sweep is None
        assert self.first_sent == sorted(self.first_sent), "somebody was overtaken"
        assert all(rows > 0 for rows in self.observed)

    def check(self, index: int, outcome: Outcome) -> None:
        caller, result = self.scenario.callers[index], outcome.result
        deadline = outcome.arrived + caller.patience
        assert outcome.ended <= deadline + SWEEP, "a deadline was not kept"
        match result:
            case ("answer", answered):
                assert answered == index, "somebody else's answer"
                assert not caller.poisoned
            case Overloaded():
                pass
            case DeadlineExceeded():
                assert outcome.ended >= deadline
            case InternalError():
                assert caller.poisoned, "a neighbour's error"
                assert isinstance(result.__cause__, Poison)
            case Unavailable():
                assert index in self.down
            case asyncio.CancelledError():
                assert index in self.left
            case _:
                pytest.fail(f"unexpected {result!r}")


@given(SCENARIOS)
@settings(max_examples=300)
def test_every_interleaving_keeps_the_promises(scenario: Scenario) -> None:
    run_virtually(Trial(scenario).run())
