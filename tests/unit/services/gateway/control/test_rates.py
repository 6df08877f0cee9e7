from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.control.rates import ALGORITHMS, MINUTE, Algorithm, State

ZERO: State = (0.0, 0.0, 0.0)
START = 100 * MINUTE + 7.0
every = pytest.mark.parametrize("algorithm", ALGORITHMS.values(), ids=ALGORITHMS)


class Counter:
    """One limit on a clock that the test moves."""

    def __init__(self, algorithm: Algorithm, limit: int) -> None:
        self.algorithm, self.limit = algorithm, limit
        self.state = ZERO

    def take(self, amount: float, now: float) -> bool:
        self.state, used = self.algorithm.roll(self.state, self.limit, now)
        if used + amount > self.limit + 1e-9:
            return False
        self.state = self.algorithm.add(self.state, amount, now)
        return True

    def used(self, now: float) -> float:
        return self.algorithm.roll(self.state, self.limit, now)[1]


@every
def test_as_many_pass_at_once_as_the_limit_says(algorithm: Algorithm) -> None:
    counter = Counter(algorithm, 50)
    assert sum(counter.take(1, START) for _ in range(200)) == 50


@every
def test_all_of_it_is_there_again_after_the_reset(algorithm: Algorithm) -> None:
    counter = Counter(algorithm, 50)
    counter.take(50, START)
    reset = algorithm.reset(counter.state, 50, START)
    assert 0 < reset <= 2 * MINUTE
    assert counter.take(50, START + reset + 0.001)


@every
@given(
    limit=st.integers(1, 1000),
    takes=st.lists(st.tuples(st.floats(0, 50), st.integers(1, 300)), max_size=20),
    amount=st.integers(1, 300),
)
def test_waiting_as_told_is_enough_and_little_less_is_not(
    algorithm: Algorithm, limit: int, takes: list[tuple[float, int]], amount: int
) -> None:
    counter, now = Counter(algorithm, limit), START
    for later, taken in takes:
        now += later
        counter.take(taken, now)
    counter.state, used = algorithm.roll(counter.state, limit, now)
    wait = algorithm.wait(counter.state, limit, amount, now)
    if amount > limit:
        assert math.isinf(wait)
        return
    if used + amount <= limit:
        assert wait == pytest.approx(0, abs=1e-6)
        return
    if wait > 0.01:
        assert not Counter(algorithm, limit).take(limit + 1, now)
        early = Counter(algorithm, limit)
        early.state = counter.state
        assert not early.take(amount, now + wait - 0.005 - 1e-3 * wait)
    assert counter.take(amount, now + wait + 1e-3)


@every
@given(limit=st.integers(1, 500), amounts=st.lists(st.integers(1, 100), max_size=30), later=st.floats(0, 30))
def test_what_is_given_back_can_be_used_again(
    algorithm: Algorithm, limit: int, amounts: list[int], later: float
) -> None:
    counter = Counter(algorithm, limit)
    taken = [amount for amount in amounts if counter.take(amount, START)]
    counter.state, _ = algorithm.roll(counter.state, limit, START + later)
    for amount in taken:
        counter.state = algorithm.add(counter.state, -amount, START)
    assert counter.used(START + later) == pytest.approx(0, abs=1e-6)


def test_the_clocks_minute_forgets_all_at_once() -> None:
    counter = Counter(ALGORITHMS["fixed_window"], 10)
    assert counter.take(10, 119.9)
    assert not counter.take(1, 119.99)
    assert counter.take(10, 120.0)


def test_the_sliding_minute_weighs_the_one_before() -> None:
    counter = Counter(ALGORITHMS["sliding_window"], 10)
    assert counter.take(10, 119.0)
    assert not counter.take(1, 120.0)
    assert counter.take(5, 150.0)
    assert not counter.take(1, 150.0)


def test_the_bucket_fills_up_steadily() -> None:
    counter = Counter(ALGORITHMS["token_bucket"], 60)
    assert counter.take(60, START)
    assert not counter.take(1, START + 0.5)
    assert counter.take(1, START + 1.0)
    assert not counter.take(1, START + 1.0)


@pytest.mark.parametrize("name", ["fixed_window", "sliding_window"])
def test_what_was_used_in_another_minute_is_given_back_there(name: str) -> None:
    counter = Counter(ALGORITHMS[name], 10)
    counter.take(8, 119.0)
    counter.state, _ = counter.algorithm.roll(counter.state, 10, 121.0)
    counter.take(1, 121.0)
    counter.state = counter.algorithm.add(counter.state, -8, 119.0)
    assert counter.used(121.0) == 1
