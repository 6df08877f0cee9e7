"""A ledger that counts requests ahead of its records answers as one that does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.asgi import headers_in
from services.gateway.control import ledger_memory
from services.gateway.control.ledger import Bucket, Charge, Refused, Reserved
from services.gateway.control.ledger_memory import MemoryLedger
from services.gateway.control.limits import lines_of
from services.gateway.control.rates import ALGORITHMS
from tests.unit.services.gateway.control.test_ledger_memory import Clock

if TYPE_CHECKING:
    from collections.abc import Callable

    from services.gateway.control.ledger import Counter

LIMIT = 5
LIMITED = Bucket.of("caller", "a", LIMIT, None, None)
CHANGED = Bucket.of("caller", "a", LIMIT + 2, None, None)
"""The same bucket, after its limit was changed."""
STEPS = st.lists(
    st.one_of(
        st.sampled_from(["count", "count", "count of another", "count under another limit", "reserve", "give back"]),
        st.sampled_from([0.004, 0.019, 0.3, 7.0, 30.0, 59.99, 121.0]),
    ),
    max_size=60,
)


def remaining(told: bytes) -> int:
    """How many requests remain, as a caller hears it."""
    return int(dict(headers_in(told))[b"x-ratelimit-remaining-requests"])


class Allowed:
    """Where those are counted that were sure to fit."""

    pending = 0


def counter(ledger: MemoryLedger, bucket: Bucket, allowed: Allowed | None = None) -> Counter:
    """One that raises what the ledger does."""
    return ledger.counter(bucket, allowed or Allowed(), lambda count: count())


class Asked:
    """One ledger, and what it answered; `counts` says whether through counters or, each time, by reserving."""

    def __init__(self, algorithm: str, *, counts: bool) -> None:
        self.clock = Clock()
        self.ledger = MemoryLedger(ALGORITHMS[algorithm], 64, clock=self.clock)
        self._counters = {
            "count": self._counter(LIMITED, counts=counts),
            "count of another": self._counter(LIMITED, counts=counts),
            "count under another limit": self._counter(CHANGED, counts=counts),
        }

    def _counter(self, bucket: Bucket, *, counts: bool) -> Callable[[], int]:
        count = counter(self.ledger, bucket)
        return (lambda: remaining(count(self.clock()))) if counts else (lambda: self._reserve(bucket))

    def _reserve(self, bucket: Bucket) -> int:
        (standing,) = self.ledger.reserve_now([Charge(bucket, 1, 0, 0)]).standings
        return standing.requests

    def step(self, step: str | float) -> int | None:
        """How many remain; None when it was refused, or nothing was asked."""
        if isinstance(step, float):
            self.clock.now += step
        elif step == "give back":
            self.ledger.settle([Charge(LIMITED, -1, 0, 0)], Reserved(self.clock.now, "", ()))
        else:
            try:
                return self._reserve(LIMITED) if step == "reserve" else self._counters[step]()
            except Refused:
                return -1
        return None


@pytest.mark.parametrize("algorithm", ["fixed_window", "sliding_window"])
@given(steps=STEPS)
def test_nobody_can_tell(algorithm: str, steps: list[str | float]) -> None:
    ahead, plain = Asked(algorithm, counts=True), Asked(algorithm, counts=False)
    for step in steps:
        found, expected = ahead.step(step), plain.step(step)
        # What remains of a sliding window grows with time, which stands still within a stretch.
        assert found == expected or (algorithm == "sliding_window" and found == (expected or 0) - 1 >= 0), step


@given(steps=STEPS)
def test_supply_that_fills_up_gives_no_more_than_it_holds_and_gains(steps: list[str | float]) -> None:
    asked = Asked("token_bucket", counts=True)
    began, passed = asked.clock.now, 0
    for step in steps:
        if step in {"count under another limit", "give back"}:
            continue
        left = asked.step(step)
        passed += left is not None and left >= 0
        assert passed <= LIMIT + (asked.clock.now - began) * LIMIT / 60 + 1e-6


def test_records_catch_up_before_too_many_are_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_memory, "_MOST_STRETCHES", 3)
    clock = Clock()
    ledger = MemoryLedger(ALGORITHMS["fixed_window"], 64, clock=clock)
    buckets = [Bucket.of("caller", str(at), LIMIT, None, None) for at in range(7)]
    counters = [counter(ledger, bucket) for bucket in buckets]
    assert [[remaining(count(clock())) for count in counters] for _ in range(3)] == [[4] * 7, [3] * 7, [2] * 7]
    assert len(ledger._stretches) <= 3
    assert [ledger.reserve_now([Charge(bucket, 1, 0, 0)]).standings[0].requests for bucket in buckets] == [1] * 7


def test_no_more_than_the_limit_is_counted_ahead() -> None:
    clock, allowed = Clock(), Allowed()
    count = counter(MemoryLedger(ALGORITHMS["sliding_window"], 64, clock=clock), LIMITED, allowed)
    assert [remaining(count(clock())) for _ in range(LIMIT)] == [4, 3, 2, 1, 0]
    assert allowed.pending == LIMIT - 1  # the first may not have fitted, and whoever tried that counts it
    for _ in range(3):
        with pytest.raises(Refused) as caught:
            count(clock())
        assert (caught.value.what, caught.value.standing.requests) == ("requests", 0)


def test_each_counts_for_the_minute_in_which_it_came() -> None:
    asked = Asked("fixed_window", counts=True)
    asked.clock.now += 59.99
    assert [asked.step("count") for _ in range(2)] == [4, 3]
    asked.clock.now += 0.015
    assert [asked.step("count") for _ in range(2)] == [4, 3]
    assert asked.step("reserve") == 2


def test_what_is_given_back_was_counted_before() -> None:
    asked = Asked("fixed_window", counts=True)
    assert [asked.step("count") for _ in range(3)] == [4, 3, 2]
    for _ in range(3):
        asked.step("give back")
    assert asked.step("count") == 4


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_each_hears_when_all_is_there_again(algorithm: str) -> None:
    clock = Clock()
    ahead, plain = (MemoryLedger(ALGORITHMS[algorithm], 64, clock=clock) for _ in range(2))
    count = counter(ahead, LIMITED)
    for _ in range(LIMIT):
        (standing,) = plain.reserve_now([Charge(LIMITED, 1, 0, 0)]).standings
        assert count(clock()) == lines_of([standing])
