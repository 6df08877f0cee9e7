"""What is let into the queue, and what leaves it unsent."""

from __future__ import annotations

import asyncio

import pytest

from services.errors import Overloaded, Unavailable
from services.gateway.batching import BatchLimits
from tests.unit.services.gateway.batching.doubling import SWEEP, Model, assert_idle, make, submit
from tests.virtual_time import run_virtually


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
