from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.errors import DeadlineExceeded, Overloaded
from services.gateway.control.admission import Gate
from services.gateway.control.work import Work, begin
from tests.virtual_time import run_virtually


def gate(requests: int = 2, queue: int = 4, tokens: int | None = None, patience: float = 10.0) -> Gate:
    return Gate("model", requests=requests, queue=queue, tokens=tokens, patience=patience, admitted=lambda _: None)


async def pass_through(through: Gate, seconds: float, weight: int = 1, work: Work | None = None) -> float:
    """Time at which `through` let in."""
    if work is not None:
        begin(work)
    async with through.enter(weight):
        entered = asyncio.get_running_loop().time()
        await asyncio.sleep(seconds)
    return entered


def assert_idle(one: Gate) -> None:
    assert (one.in_flight, one.tokens_in_flight, one.queued) == (0, 0, 0)
    assert not one._waiting


def test_so_many_at_once_the_others_in_turn_and_no_more_than_may_wait() -> None:
    async def scenario() -> None:
        one = gate()
        results = await asyncio.gather(*(pass_through(one, 1.0) for _ in range(8)), return_exceptions=True)
        assert results[:6] == [0, 0, 1, 1, 2, 2]
        assert all(isinstance(result, Overloaded) for result in results[6:])
        assert_idle(one)

    run_virtually(scenario())


def test_tokens_are_bounded_and_what_is_larger_than_all_of_them_goes_alone() -> None:
    async def scenario() -> None:
        one = gate(requests=10, tokens=100)
        weights = (60, 30, 60, 500, 10)
        entered = await asyncio.gather(*(pass_through(one, 1.0, weight) for weight in weights))
        assert entered == [0, 0, 1, 2, 3]
        assert_idle(one)

    run_virtually(scenario())


def test_who_waits_too_long_or_past_the_deadline_is_told_which() -> None:
    async def scenario() -> None:
        one = gate(requests=1, patience=5.0)
        holding = asyncio.create_task(pass_through(one, 20.0))
        await asyncio.sleep(0)
        patient = asyncio.create_task(pass_through(one, 1.0))
        hasty = asyncio.create_task(pass_through(one, 1.0, work=Work(deadline=2.0)))
        with pytest.raises(DeadlineExceeded):
            await hasty
        assert asyncio.get_running_loop().time() == pytest.approx(2.0)
        with pytest.raises(Overloaded, match="5 s"):
            await patient
        with pytest.raises(DeadlineExceeded):
            await pass_through(one, 1.0, work=Work(deadline=1.0))
        await holding
        assert_idle(one)

    run_virtually(scenario())


def test_flooder_leaves_room_and_takes_turns() -> None:
    async def scenario() -> None:
        one = gate(requests=1, queue=50, patience=1000.0)
        flood = [asyncio.create_task(pass_through(one, 1.0, work=Work(caller="flooder"))) for _ in range(60)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        others = [asyncio.create_task(pass_through(one, 1.0, work=Work(caller="other"))) for _ in range(4)]
        assert max(await asyncio.gather(*others)) <= 10
        results = await asyncio.gather(*flood, return_exceptions=True)
        assert 10 < sum(isinstance(result, Overloaded) for result in results) < 25
        assert_idle(one)

    run_virtually(scenario())


@given(
    st.lists(
        st.tuples(st.floats(0, 3), st.floats(0, 3), st.integers(1, 8), st.sampled_from("ab"), st.floats(0.01, 6)),
        max_size=25,
    )
)
def test_whoever_leaves_whenever_nothing_is_lost_and_no_bound_is_passed(
    callers: list[tuple[float, float, int, str, float]],
) -> None:
    async def scenario() -> None:
        one = gate(requests=3, queue=5, tokens=10)

        async def come(arrives: float, stays: float, weight: int, name: str, leaves: float) -> None:
            begin(Work(caller=name))
            await asyncio.sleep(arrives)
            async with asyncio.timeout(leaves), one.enter(weight):
                assert one.in_flight <= 3
                assert one.tokens_in_flight <= 10
                assert one.queued <= 5
                await asyncio.sleep(stays)

        results = await asyncio.gather(*(come(*caller) for caller in callers), return_exceptions=True)
        assert all(result is None or isinstance(result, (TimeoutError, Overloaded)) for result in results)
        assert_idle(one)

    run_virtually(scenario())
