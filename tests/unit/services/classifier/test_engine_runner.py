from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING

import numpy as np
import pytest

from services.classifier.engine_runner import EngineRunner, Executors
from services.errors import DeadlineExceeded, InvalidInput
from tests.fakes import FakeEngine, make_spec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from models.spec import Probabilities, Rows

ROWS = np.array([[60, 2, 3], [10, 2, 3]], np.float32)
PATIENCE = 10


class SlowEngine(FakeEngine):
    """Waits at a gate, and knows how many calls were in it at once."""

    def __init__(self) -> None:
        super().__init__(make_spec())
        self.threads: list[str] = []
        self.entered = threading.Event()
        self.gate = threading.Event()
        self.inside = 0
        self.most_inside = 0

    def predict(self, rows: Rows) -> Probabilities:
        self.threads.append(threading.current_thread().name)
        self.inside += 1
        self.most_inside = max(self.most_inside, self.inside)
        self.entered.set()
        try:
            if threading.current_thread() is not threading.main_thread():
                self.gate.wait(PATIENCE)
            return super().predict(rows)
        finally:
            self.inside -= 1


@pytest.fixture
def executors() -> Iterator[Executors]:
    made = Executors.create()
    yield made
    for executor in (made.predict, made.attribute):
        executor.shutdown()


@pytest.fixture
def engine() -> Iterator[SlowEngine]:
    made = SlowEngine()
    yield made
    made.gate.set()


async def test_predicts(executors: Executors) -> None:
    runner = EngineRunner(FakeEngine(make_spec()), executors)
    np.testing.assert_allclose(await runner.predict(ROWS), [[0.4, 0.6], [0.9, 0.1]], rtol=1e-6)
    assert (await runner.predict(ROWS[:0])).shape == (0, 2)


async def test_attributes_one_row(executors: Executors) -> None:
    runner = EngineRunner(FakeEngine(make_spec()), executors)
    probabilities, attributions = await runner.attribute(ROWS[:1])
    np.testing.assert_allclose(probabilities, [[0.4, 0.6]], rtol=1e-6)
    assert attributions.label == "large"
    with pytest.raises(InvalidInput, match="one row"):
        await runner.attribute(ROWS)


@pytest.mark.parametrize("rows", [ROWS[:, :2], ROWS[0], ROWS[None], np.zeros((0, 4), np.float32)])
async def test_other_shapes_are_refused(executors: Executors, rows: Rows) -> None:
    engine = FakeEngine(make_spec())
    runner = EngineRunner(engine, executors)
    with pytest.raises(InvalidInput, match=r"\[-1, 3\]") as caught:
        await runner.predict(rows)
    assert caught.value.param == "features"
    with pytest.raises(InvalidInput):
        await runner.attribute(rows)
    assert engine.asked == []


async def test_long_calls_leave_the_loop_and_short_ones_stay(executors: Executors, engine: SlowEngine) -> None:
    engine.gate.set()
    runner = EngineRunner(engine, executors)
    await runner.predict(ROWS)
    runner._seconds_per_row = 1e-6
    await runner.predict(ROWS)
    runner._seconds_per_row = 1.0
    await runner.predict(ROWS)
    main = threading.main_thread().name
    assert engine.threads[1] == main
    assert all(name.startswith("predict") for name in (engine.threads[0], engine.threads[2]))


async def test_a_call_that_was_interrupted_does_not_make_the_next_leave_and_a_slow_model_does(
    executors: Executors, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    lasts = iter([1e-5, 1e-5, 0.02, 1e-5, 0.02, 1e-5] + [0.02] * 3)
    threads = []

    class Clocked(FakeEngine):
        def predict(self, rows: Rows) -> Probabilities:
            nonlocal now
            now += next(lasts)
            threads.append(threading.current_thread().name)
            return super().predict(rows)

    runner = EngineRunner(Clocked(make_spec()), executors)
    monkeypatch.setattr("services.classifier.engine_runner.time.perf_counter", lambda: now)
    for _ in range(6):
        await runner.predict(ROWS)
    assert {*threads[1:]} == {threading.main_thread().name}
    for _ in range(3):
        await runner.predict(ROWS)
    assert threads[-1].startswith("predict")


async def test_loop_goes_on_during_a_long_call_and_no_other_joins_it(executors: Executors, engine: SlowEngine) -> None:
    runner = EngineRunner(engine, executors)
    first = asyncio.create_task(runner.predict(ROWS))
    await asyncio.to_thread(engine.entered.wait, PATIENCE)
    runner._seconds_per_row = 1e-6
    second = asyncio.create_task(runner.predict(ROWS))
    await asyncio.sleep(0)
    assert not second.done()
    engine.gate.set()
    await asyncio.gather(first, second)
    assert engine.most_inside == 1


async def test_call_whose_caller_left_is_not_joined_either(executors: Executors, engine: SlowEngine) -> None:
    runner = EngineRunner(engine, executors)
    left = asyncio.create_task(runner.predict(ROWS))
    await asyncio.to_thread(engine.entered.wait, PATIENCE)
    left.cancel()
    with pytest.raises(asyncio.CancelledError):
        await left
    runner._seconds_per_row = 1e-6
    second = asyncio.create_task(runner.predict(ROWS))
    await asyncio.sleep(0)
    assert not second.done()
    engine.gate.set()
    await second
    assert engine.most_inside == 1
    assert runner._in_thread == 0


async def test_work_whose_turn_comes_too_late_is_not_started(executors: Executors, engine: SlowEngine) -> None:
    runner = EngineRunner(engine, executors)
    first = asyncio.create_task(runner.predict(ROWS))
    await asyncio.to_thread(engine.entered.wait, PATIENCE)
    late = asyncio.create_task(runner.predict(ROWS, time.monotonic() + 0.05))
    await asyncio.sleep(0.1)
    engine.gate.set()
    await first
    with pytest.raises(DeadlineExceeded):
        await late
    with pytest.raises(DeadlineExceeded):
        await runner.attribute(ROWS[:1], time.monotonic() - 1)
    assert len(engine.threads) == 1


async def test_errors_of_the_engine_reach_the_caller(executors: Executors) -> None:
    class Broken(FakeEngine):
        def predict(self, rows: Rows) -> Probabilities:
            raise ZeroDivisionError

    runner = EngineRunner(Broken(make_spec()), executors)
    for seconds in (1.0, 0.0):
        runner._seconds_per_row = seconds
        with pytest.raises(ZeroDivisionError):
            await runner.predict(ROWS)
    assert runner._in_thread == 0
