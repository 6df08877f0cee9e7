from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry

from services.gateway.batching import Batcher, BatchLimits
from services.gateway.control.admission import Gate
from services.gateway.watching import watch_batchers, watch_gates
from tests.metrics import make_metrics, value

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass
class Lane:
    batcher: Batcher[Any, Any]


async def test_versions_of_a_model_are_one_queue_and_one_that_is_gone_is_empty() -> None:
    go_on = asyncio.Event()

    async def model(payloads: Sequence[int]) -> Sequence[int]:
        await go_on.wait()
        return payloads

    registry = CollectorRegistry()
    metrics = make_metrics(registry)
    limits = BatchLimits(max_rows=4, max_in_flight=1, max_queued_rows=100)
    lanes = {("iris", version): Lane(Batcher(model, limits, lambda _rows, _waited: None)) for version in ("v1", "v2")}
    watch_batchers(metrics, lanes, 100)
    asked = []
    for lane in lanes.values():
        asked.append(asyncio.create_task(lane.batcher.submit(1, 4, 10)))
        await asyncio.sleep(0.0)
        await asyncio.sleep(0.0)
        asked.append(asyncio.create_task(lane.batcher.submit(2, 3, 10)))
        await asyncio.sleep(0.0)
    assert value(metrics, registry, "tandem_batches_in_flight", model="iris") == 2
    assert value(metrics, registry, "tandem_batch_queue_rows", model="iris") == 6
    assert value(metrics, registry, "tandem_batch_queue_limit_rows", model="iris") == 200
    go_on.set()
    await asyncio.gather(*asked)
    lanes.clear()
    assert value(metrics, registry, "tandem_batch_queue_rows", model="iris") == 0
    assert value(metrics, registry, "tandem_batch_queue_limit_rows", model="iris") == 0


async def test_gates_show_what_waits_and_what_they_let_in() -> None:
    registry = CollectorRegistry()
    metrics = make_metrics(registry)
    waits: list[float] = []
    gate = Gate("model", requests=1, queue=5, patience=10, admitted=waits.append)
    watch_gates(metrics, {"llm": gate})
    async with gate.enter(7):
        waiting = asyncio.create_task(gate.enter(3).__aenter__())
        await asyncio.sleep(0)
        figures = {
            name: value(metrics, registry, f"tandem_admission_{name}", backend="llm")
            for name in ("queue_requests", "queue_limit_requests", "in_flight_requests", "in_flight_tokens")
        }
        assert figures == {
            "queue_requests": 1,
            "queue_limit_requests": 5,
            "in_flight_requests": 1,
            "in_flight_tokens": 7,
        }
    await waiting
    assert len(waits) == 2
    assert waits[0] == 0 < waits[1]
