"""A model that doubles, and batchers in front of it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from services.gateway.batching import Batcher, BatchLimits

if TYPE_CHECKING:
    from collections.abc import Sequence

LIMITS = BatchLimits(max_rows=8, max_in_flight=2, max_queued_rows=100)
SWEEP = 0.06
"""Longest time, in seconds, between a deadline and the caller hearing of it."""


class Model:
    """Doubles its payloads; each call takes `seconds`, and raises `error` or what its payloads ask for."""

    def __init__(self, seconds: float = 1.0) -> None:
        self.seconds = seconds
        self.error: BaseException | None = None
        self.calls: list[tuple[float, list[int]]] = []
        self.running = 0
        self.most_running = 0

    async def __call__(self, payloads: Sequence[int]) -> list[int]:
        self.calls.append((asyncio.get_running_loop().time(), list(payloads)))
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            await asyncio.sleep(self.seconds)
        finally:
            self.running -= 1
        if self.error is not None:
            raise self.error
        if any(payload < 0 for payload in payloads):
            raise ValueError("negative")
        return [2 * payload for payload in payloads]

    @property
    def batches(self) -> list[list[int]]:
        return [payloads for _, payloads in self.calls]


def make(model: Model, limits: BatchLimits = LIMITS) -> tuple[Batcher[int, int], list[tuple[int, float]]]:
    seen: list[tuple[int, float]] = []
    return Batcher(model, limits, lambda rows, waited: seen.append((rows, waited))), seen


def submit(batcher: Batcher[int, int], payload: int, rows: int = 1, seconds: float = 60.0) -> asyncio.Task[int]:
    return asyncio.create_task(batcher.submit(payload, rows, seconds))


async def assert_idle(batcher: Batcher[int, int]) -> None:
    for _ in range(3):
        await asyncio.sleep(0)
    assert batcher.queued_rows == 0
    assert batcher.in_flight == 0
    assert not batcher._queue
    assert not batcher._under_way
