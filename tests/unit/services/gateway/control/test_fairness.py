from __future__ import annotations

import asyncio
import random
from collections import Counter, deque
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.errors import Overloaded
from services.gateway.batching import Batcher, BatchLimits
from services.gateway.control.fairness import FairQueue
from services.gateway.control.work import Work, begin
from tests.virtual_time import run_virtually

if TYPE_CHECKING:
    from collections.abc import Sequence

PUSHES = st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 20)), max_size=60)


def test_callers_take_turns() -> None:
    queue: FairQueue[str] = FairQueue(2)
    for number in range(6):
        queue.push("flooder", 1, f"f{number}")
    queue.push("other", 1, "o0")
    queue.push("other", 1, "o1")
    order = [queue.pop() for _ in range(8)]
    assert set(order[:4]) == {"f0", "f1", "o0", "o1"}


@given(PUSHES, st.integers(1, 8))
def test_everything_comes_out_once_and_each_callers_in_order(pushes: list[tuple[str, int]], quantum: int) -> None:
    queue: FairQueue[tuple[str, int]] = FairQueue(quantum)
    expected: dict[str, deque[int]] = {name: deque() for name in "abc"}
    for number, (caller, weight) in enumerate(pushes):
        queue.push(caller, weight, (caller, number))
        expected[caller].append(number)
    assert queue.weight == sum(weight for _, weight in pushes)
    assert len(queue) == len(pushes)
    while queue:
        caller, number = queue.pop()
        assert expected[caller].popleft() == number
    assert queue.weight == 0
    assert not any(expected.values())


@given(PUSHES)
def test_busy_callers_get_equal_weight(pushes: list[tuple[str, int]]) -> None:
    quantum = 20
    queue: FairQueue[tuple[str, int]] = FairQueue(quantum)
    left = Counter(caller for caller, _ in pushes)
    for caller, weight in pushes:
        queue.push(caller, weight, (caller, weight))
    served: Counter[str] = Counter()
    while queue and all(left[name] for name in left):
        caller, weight = queue.pop()
        served[caller] += weight
        left[caller] -= 1
        gap = max(served[name] for name in left) - min(served[name] for name in left)
        assert gap <= 3 * quantum


@given(PUSHES)
def test_what_is_not_wanted_is_dropped(pushes: list[tuple[str, int]]) -> None:
    queue: FairQueue[int] = FairQueue(4)
    for number, (caller, weight) in enumerate(pushes):
        queue.push(caller, weight, number)
    queue.keep(lambda number: number % 2 == 0)
    assert queue.weight == sum(weight for number, (_, weight) in enumerate(pushes) if number % 2 == 0)
    assert sorted(queue) == list(range(0, len(pushes), 2))


def test_named_caller_never_fills_the_queue_and_who_has_no_name_may() -> None:
    queue: FairQueue[int] = FairQueue(4)
    while queue.has_room("flooder", 1, 100):
        queue.push("flooder", 1, 0)
    assert queue.weight == 80
    assert queue.has_room("other", 1, 100)
    queue.clear()
    while queue.has_room("", 1, 100):
        queue.push("", 1, 0)
    assert queue.weight == 100


async def _serve(rates: dict[str, float], seconds: float) -> dict[str, list[float]]:
    """Latencies of each caller, whose requests of one row come at random, `rates` a second, at one batcher."""
    loop = asyncio.get_running_loop()

    async def model(payloads: Sequence[int]) -> list[int]:
        await asyncio.sleep(0.05 + 0.001 * len(payloads))
        return list(payloads)

    batcher: Batcher[int, int] = Batcher(model, BatchLimits(64, 2, 2_000), lambda _rows, _waited: None)
    latencies: dict[str, list[float]] = {name: [] for name in rates}
    tasks: list[asyncio.Task[None]] = []

    async def ask(caller: str) -> None:
        begin(Work(caller=caller))
        began = loop.time()
        try:
            await batcher.submit(1, 1, 60)
        except Overloaded:
            return
        latencies[caller].append(loop.time() - began)

    async def come(caller: str, rate: float) -> None:
        dice = random.Random(caller)
        while loop.time() < seconds:
            await asyncio.sleep(dice.expovariate(rate))
            tasks.append(asyncio.create_task(ask(caller)))

    await asyncio.gather(*(come(caller, rate) for caller, rate in rates.items()))
    await asyncio.gather(*tasks)
    await batcher.close()
    return latencies


def p99(values: list[float]) -> float:
    return sorted(values)[int(len(values) * 0.99)]


@pytest.mark.parametrize("rate", [40.0, 250.0])
def test_flooder_at_ten_times_the_rate_at_most_doubles_anothers_p99(rate: float) -> None:
    alone = run_virtually(_serve({"other": rate}, 5.0))
    flooded = run_virtually(_serve({"other": rate, "flooder": 10 * rate}, 5.0))
    assert len(flooded["other"]) >= 0.99 * len(alone["other"])
    assert p99(flooded["other"]) <= 2 * p99(alone["other"])
