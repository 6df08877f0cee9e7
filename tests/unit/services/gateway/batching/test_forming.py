"""Which payloads share a batch, and how many batches are under way."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from services.gateway.batching import BatchLimits
from services.gateway.control.work import NO_LINE, NOBODY, Request, work_for
from services.telemetry.access_log import AccessLine
from tests.unit.services.gateway.batching.doubling import Model, assert_idle, make, submit
from tests.virtual_time import run_virtually


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


def test_the_line_of_a_request_says_how_long_it_waited_in_whole_microseconds() -> None:
    async def scenario() -> None:
        model = Model(0.1)
        batcher, _ = make(model, BatchLimits(max_rows=1, max_in_flight=1, max_queued_rows=10))
        line = AccessLine(0.0, "id", "POST", "/classify", 200, 0.0)

        async def twice() -> None:
            work_for(Request(line, NOBODY))
            for payload in (1, 2):
                await batcher.submit(payload, 1, 60.0)

        ahead = submit(batcher, 0)
        await asyncio.sleep(0)
        request = asyncio.create_task(twice())
        await asyncio.sleep(0.15)
        model.seconds = 0.2
        await asyncio.gather(ahead, request, submit(batcher, 3))
        assert model.batches == [[0], [1], [3], [2]]
        assert line.queue_seconds == 0.3
        assert NO_LINE.queue_seconds == 0.0

    run_virtually(scenario())


def test_a_line_says_nothing_of_the_queue_where_nothing_waited() -> None:
    """As of everything else that is zero."""

    async def scenario() -> None:
        batcher, _ = make(Model(0.1))
        line = AccessLine(0.0, "id", "POST", "/classify", 200, 0.0)
        work_for(Request(line, NOBODY))
        await batcher.submit(0, 1, 60.0)
        assert b"queue_seconds" not in msgspec.json.encode(line)

    run_virtually(scenario())
