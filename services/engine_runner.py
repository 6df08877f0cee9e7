"""Runs an engine inside an async service, without holding the event loop up."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from models.engines.loader import warm_up_attributions
from services.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Callable

    from models.spec import Attributions, Engine, Probabilities, Rows

Given = TypeVar("Given")
Outcome = TypeVar("Outcome")

_INLINE_SECONDS = 0.002
"""A call that should take longer leaves the event loop, so that health and other models go on."""


@dataclass(frozen=True, slots=True)
class Executors:
    """The threads that engines run in: explanations take long, and must not hold predictions up."""

    predict: ThreadPoolExecutor
    attribute: ThreadPoolExecutor

    @classmethod
    def create(cls) -> Executors:
        """One thread for each kind of call."""
        return cls(ThreadPoolExecutor(1, "predict"), ThreadPoolExecutor(1, "attribute"))


class EngineRunner:
    """Runs one engine, one prediction at a time: on the event loop when it is short, else in the thread."""

    def __init__(self, engine: Engine, executors: Executors) -> None:
        self.spec = engine.spec
        self._engine = engine
        self._executors = executors
        self._seconds_per_row = 0.0
        self._in_thread = 0

    async def predict(self, rows: Rows) -> Probabilities:
        """Probabilities for `rows`, shape (n, features); InvalidInput when the width is not the model's."""
        self._check(rows)
        if not self._in_thread and len(rows) * self._seconds_per_row < _INLINE_SECONDS:
            return self._timed(rows)
        self._in_thread += 1
        try:
            return await self._in(self._executors.predict, self._timed, rows)
        finally:
            self._in_thread -= 1

    async def attribute(self, row: Rows) -> tuple[Probabilities, Attributions]:
        """Probabilities and attributions of one row, shape (1, features)."""
        self._check(row)
        if len(row) != 1:
            raise InvalidInput("Attributions are for one row at a time.", param="features")
        return await self._in(
            self._executors.attribute, lambda one: (self._engine.predict(one), self._engine.attribute(one)), row
        )

    async def warm_up(self) -> None:
        """Import what explanations need, so that the first caller does not wait for it."""
        await self._in(self._executors.attribute, warm_up_attributions, self._engine)

    def _check(self, rows: Rows) -> None:
        width = len(self.spec.features)
        if rows.ndim != 2 or rows.shape[1] != width:  # noqa: PLR2004 - a table has two dimensions
            raise InvalidInput(f"Expected shape [-1, {width}], got {list(rows.shape)}.", param="features")

    def _timed(self, rows: Rows) -> Probabilities:
        started = time.perf_counter()
        probabilities = self._engine.predict(rows)
        if len(rows):
            per_row = (time.perf_counter() - started) / len(rows)
            self._seconds_per_row = 0.8 * self._seconds_per_row + 0.2 * per_row if self._seconds_per_row else per_row
        return probabilities

    @staticmethod
    async def _in(executor: ThreadPoolExecutor, work: Callable[[Given], Outcome], given: Given) -> Outcome:
        return await asyncio.get_running_loop().run_in_executor(executor, work, given)
