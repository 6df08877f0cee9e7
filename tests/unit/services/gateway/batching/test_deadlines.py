"""A caller's deadline, before and after its payload is sent."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from services.errors import DeadlineExceeded
from services.gateway.batching import Batcher, BatchLimits
from services.gateway.control.work import Work, begin, seconds_left
from tests.unit.services.gateway.batching.doubling import LIMITS, SWEEP, Model, assert_idle, make, submit
from tests.virtual_time import run_virtually

if TYPE_CHECKING:
    from collections.abc import Sequence


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
