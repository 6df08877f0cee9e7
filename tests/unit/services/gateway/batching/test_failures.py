"""One caller's trouble is no other's: cancelled callers, bad payloads, failing calls."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from services.errors import DeadlineExceeded, InternalError, InvalidInput, Overloaded, ServingError, Unavailable
from services.gateway.batching import Batcher
from tests.unit.services.gateway.batching.doubling import LIMITS, Model, assert_idle, make, submit
from tests.virtual_time import run_virtually

if TYPE_CHECKING:
    from collections.abc import Sequence


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
