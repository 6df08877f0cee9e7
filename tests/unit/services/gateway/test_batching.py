from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.errors import DeadlineExceeded, InternalError, InvalidInput, Overloaded, ServingError, Unavailable
from services.gateway.batching import Batcher, BatchLimits
from services.gateway.control.work import Work, begin, seconds_left
from tests.virtual_time import run_virtually

if TYPE_CHECKING:
    from collections.abc import Sequence

LIMITS = BatchLimits(max_rows=8, max_in_flight=2, max_queued_rows=100)
SWEEP = 0.06
"""Longest time, in seconds, between a deadline and the caller hearing of it."""


class Model:
    """Doubles its payloads; each call takes `seconds`, and raises `error` or what its payloads ask for."""

    def __init__(self, seconds: float = 1.0) -> None:
        self.seconds = seconds
        self.error: BaseException | None = None
        self.calls: list[tuple[float, list[int]]] = []
        self.running = 0
        self.most_running = 0

    async def __call__(self, payloads: Sequence[int]) -> list[int]:
        self.calls.append((asyncio.get_running_loop().time(), list(payloads)))
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            await asyncio.sleep(self.seconds)
        finally:
            self.running -= 1
        if self.error is not None:
            raise self.error
        if any(payload < 0 for payload in payloads):
            raise ValueError("negative")
        return [2 * payload for payload in payloads]

    @property
    def batches(self) -> list[list[int]]:
        return [payloads for _, payloads in self.calls]


def make(model: Model, limits: BatchLimits = LIMITS) -> tuple[Batcher[int, int], list[tuple[int, float]]]:
    seen: list[tuple[int, float]] = []
    return Batcher(model, limits, lambda rows, waited: seen.append((rows, waited))), seen


def submit(batcher: Batcher[int, int], payload: int, rows: int = 1, seconds: float = 60.0) -> asyncio.Task[int]:
    return asyncio.create_task(batcher.submit(payload, rows, seconds))


async def assert_idle(batcher: Batcher[int, int]) -> None:
    for _ in range(3):
        await asyncio.sleep(0)
    assert batcher.queued_rows == 0
    assert batcher.in_flight == 0
    assert not batcher._queue
    assert not batcher._under_way


async def test_lone_payload_is_sent_without_waiting() -> None:
    model = Model(0)
    batcher, seen = make(model)
    assert await batcher.submit(21, 1, 60) == 42
    assert [rows for rows, _ in seen] == [1]
    await assert_idle(batcher)
    await batcher.close()


def test_payloads_of_one_moment_share_a_batch() -> None:
    async def scenario() -> None:
        model = Model()
        batcher, seen = make(model)
        assert await asyncio.gather(*(submit(batcher, n) for n in range(5))) == [0, 2, 4, 6, 8]
        assert model.batches == [[0, 1, 2, 3, 4]]
        assert seen == [(5, 0.0)]

    run_virtually(scenario())


def test_batches_grow_while_the_model_is_busy() -> None:
    async def scenario() -> None:
        model = Model(1.0)
        batcher, seen = make(model)
        waiting = []
        for n in range(6):
            waiting.append(submit(batcher, n))
            await asyncio.sleep(0.1)
        await asyncio.gather(*waiting)
        assert model.batches == [[0], [1], [2, 3, 4, 5]]
        assert model.most_running == 2
        assert seen[2][0] == 4
        assert seen[2][1] == pytest.approx(0.8)
        await assert_idle(batcher)

    run_virtually(scenario())


def test_batch_never_exceeds_max_rows_unless_one_payload_does() -> None:
    async def scenario() -> None:
        model = Model()
        batcher, seen = make(model)
        await asyncio.gather(
            submit(batcher, 1, rows=5), submit(batcher, 2, rows=4), submit(batcher, 3, rows=20), submit(batcher, 4)
        )
        assert [rows for rows, _ in seen] == [5, 4, 20, 1]
        assert model.batches == [[1], [2], [3], [4]]

    run_virtually(scenario())


def test_more_batches_are_under_way_when_more_replicas_take_them() -> None:
    async def scenario() -> None:
        model = Model()
        batcher, _ = make(model, BatchLimits(max_rows=1, max_in_flight=2, max_queued_rows=100))
        for replicas in (1, 3, 1):
            batcher.widen(replicas)
            model.most_running = 0
            await asyncio.gather(*(submit(batcher, payload) for payload in range(12)))
            assert model.most_running == 2 * replicas

    run_virtually(scenario())


def test_full_queue_refuses_with_overloaded() -> None:
    async def scenario() -> None:
        model = Model()
        batcher, _ = make(model, BatchLimits(max_rows=4, max_in_flight=1, max_queued_rows=10))
        first = submit(batcher, 1, rows=4)
        await asyncio.sleep(0.1)
        held = [submit(batcher, 2, rows=6), submit(batcher, 3, rows=4)]
        await asyncio.sleep(0)
        with pytest.raises(Overloaded) as caught:
            await batcher.submit(4, 1, 60)
        assert caught.value.headers() == {"retry-after": "1"}
        assert [await task for task in (first, *held)] == [2, 4, 6]
        assert await batcher.submit(4, 1, 60) == 8

    run_virtually(scenario())


def test_payload_larger_than_the_queue_is_served_when_nobody_waits() -> None:
    async def scenario() -> None:
        batcher, _ = make(Model(), BatchLimits(max_rows=4, max_in_flight=1, max_queued_rows=10))
        assert await batcher.submit(1, 50, 60) == 2

    run_virtually(scenario())


def test_rows_of_callers_that_left_free_the_queue() -> None:
    async def scenario() -> None:
        model = Model(30.0)
        batcher, _ = make(model, BatchLimits(max_rows=4, max_in_flight=1, max_queued_rows=10))
        first = submit(batcher, 1)
        await asyncio.sleep(0.1)
        left = [submit(batcher, n, rows=5) for n in (2, 3)]
        await asyncio.sleep(0)
        for task in left:
            task.cancel()
        await asyncio.sleep(SWEEP)
        assert batcher.queued_rows == 0
        last = submit(batcher, 4, rows=10)
        assert (await first, await last) == (2, 8)

    run_virtually(scenario())


def test_deadline_passes_while_queued_and_the_work_is_not_sent() -> None:
    async def scenario() -> None:
        model = Model(5.0)
        batcher, _ = make(model, BatchLimits(max_rows=8, max_in_flight=1, max_queued_rows=100))
        first = submit(batcher, 1)
        await asyncio.sleep(0.1)
        second = submit(batcher, 2, seconds=1.0)
        third = submit(batcher, 3)
        with pytest.raises(DeadlineExceeded):
            await second
        assert 1.1 <= asyncio.get_running_loop().time() <= 1.1 + SWEEP
        assert (await first, await third) == (2, 6)
        assert model.batches == [[1], [3]]
        await assert_idle(batcher)

    run_virtually(scenario())


def test_work_that_expired_since_the_last_look_is_not_sent() -> None:
    async def scenario() -> None:
        model = Model(0.99)
        batcher, _ = make(model, BatchLimits(max_rows=8, max_in_flight=1, max_queued_rows=100))
        first = submit(batcher, 1)
        second = submit(batcher, 2, rows=8, seconds=0.97)
        assert await first == 2
        with pytest.raises(DeadlineExceeded):
            await second
        await asyncio.sleep(2)
        assert model.batches == [[1]]

    run_virtually(scenario())


async def test_expired_work_is_not_even_queued() -> None:
    model = Model(0)
    batcher, _ = make(model)
    with pytest.raises(DeadlineExceeded):
        await batcher.submit(1, 1, 0.0)
    assert not model.calls


def test_batch_is_wanted_for_as_long_as_its_most_patient_caller() -> None:
    async def scenario() -> None:
        seen: list[float] = []

        async def call(payloads: Sequence[int]) -> list[int]:
            seen.append(seconds_left(100.0))
            return list(payloads)

        batcher: Batcher[int, int] = Batcher(call, LIMITS, lambda _rows, _waited: None)
        begin(Work(deadline=1.0, caller="hasty"))
        await asyncio.gather(submit(batcher, 1, seconds=1.0), submit(batcher, 2, seconds=7.0))
        assert seen == [7.0]

    run_virtually(scenario())


def test_deadline_passes_while_under_way() -> None:
    async def scenario() -> None:
        model = Model(5.0)
        batcher, _ = make(model)
        slow, patient = submit(batcher, 1, seconds=1.0), submit(batcher, 2)
        with pytest.raises(DeadlineExceeded):
            await slow
        assert asyncio.get_running_loop().time() <= 1.0 + SWEEP
        assert await patient == 4
        await assert_idle(batcher)

    run_virtually(scenario())


def test_cancelled_caller_leaves_its_batch_unhurt() -> None:
    async def scenario() -> None:
        model = Model()
        batcher, _ = make(model)
        tasks = [submit(batcher, n) for n in range(3)]
        await asyncio.sleep(0.5)
        tasks[1].cancel()
        assert (await tasks[0], await tasks[2]) == (0, 4)
        assert tasks[1].cancelled()
        assert model.batches == [[0, 1, 2]]
        await assert_idle(batcher)

    run_virtually(scenario())


def test_culprit_alone_sees_its_error() -> None:
    async def scenario() -> None:
        model = Model()
        batcher, _ = make(model)
        results = await asyncio.gather(*(submit(batcher, n) for n in (1, -1, 2)), return_exceptions=True)
        assert results[0] == 2
        assert isinstance(results[1], InternalError)
        assert isinstance(results[1].__cause__, ValueError)
        assert "negative" not in results[1].message
        assert results[2] == 4
        assert model.batches == [[1, -1, 2], [1], [-1], [2]]
        assert model.most_running == 1
        await assert_idle(batcher)

    run_virtually(scenario())


@pytest.mark.parametrize("error", [Unavailable("gone"), Overloaded("full"), DeadlineExceeded("late")])
def test_error_that_no_payload_caused_reaches_all_without_another_try(error: ServingError) -> None:
    async def scenario() -> None:
        model = Model()
        model.error = error
        batcher, _ = make(model)
        results = await asyncio.gather(*(submit(batcher, n) for n in range(3)), return_exceptions=True)
        assert [type(result) for result in results] == [type(error)] * 3
        assert len(model.calls) == 1

    run_virtually(scenario())


def test_errors_of_the_input_are_passed_on_as_they_are() -> None:
    async def scenario() -> None:
        model = Model()
        model.error = InvalidInput("wrong", param="rows[0]")
        batcher, _ = make(model)
        with pytest.raises(InvalidInput, match="wrong"):
            await batcher.submit(1, 1, 60)

    run_virtually(scenario())


def test_wrong_number_of_results_is_an_error_and_not_somebody_elses_answer() -> None:
    async def scenario() -> None:
        async def short(payloads: Sequence[int]) -> list[int]:
            return list(payloads)[:-1]

        batcher: Batcher[int, int] = Batcher(short, LIMITS, lambda _rows, _waited: None)
        results = await asyncio.gather(*(submit(batcher, n) for n in range(3)), return_exceptions=True)
        assert all(isinstance(result, InternalError) for result in results)

    run_virtually(scenario())


def test_call_that_is_cancelled_from_within_answers_its_callers() -> None:
    async def scenario() -> None:
        model = Model()
        model.error = asyncio.CancelledError()
        batcher, _ = make(model)
        results = await asyncio.gather(*(submit(batcher, n) for n in range(2)), return_exceptions=True)
        assert all(isinstance(result, Unavailable) for result in results)
        await assert_idle(batcher)
        model.error = None
        assert await batcher.submit(3, 1, 60) == 6

    run_virtually(scenario())


def test_failing_observer_hurts_nobody() -> None:
    async def scenario() -> None:
        def observe(_rows: int, _waited: float) -> None:
            raise OSError("disk full")

        batcher: Batcher[int, int] = Batcher(Model(), LIMITS, observe)
        assert await batcher.submit(1, 1, 60) == 2

    run_virtually(scenario())


def test_close_finishes_what_is_under_way_and_refuses_the_rest() -> None:
    async def scenario() -> None:
        model = Model()
        batcher, _ = make(model, BatchLimits(max_rows=1, max_in_flight=1, max_queued_rows=100))
        first, second = submit(batcher, 1), submit(batcher, 2)
        await asyncio.sleep(0.5)
        await batcher.close()
        assert await first == 2
        with pytest.raises(Unavailable):
            await second
        assert model.batches == [[1]]
        await assert_idle(batcher)

    run_virtually(scenario())


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
