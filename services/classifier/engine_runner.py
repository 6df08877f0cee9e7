"""Runs an engine inside an async service, without holding the event loop up."""

from __future__ import annotations

import asyncio
import math
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, cast

from models.engines.loader import warm_up_attributions
from models.errors import BadInput
from services.errors import DeadlineExceeded, InvalidInput
from services.telemetry.spans import current_span

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from models.spec import AnyEngine, Attributions, Engine, Probabilities, Rows, TensorEngine
    from services.telemetry.spans import Attributes

    Tensors = Mapping[str, NDArray[Any]]

Given = TypeVar("Given")
Outcome = TypeVar("Outcome")

_INLINE_SECONDS = 0.002
"""A call that should take longer leaves the event loop, so that health and other models go on."""
_TICK = 1e-6
"""Seconds below which no difference between two calls is looked at."""


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

    def __init__(self, engine: AnyEngine, executors: Executors) -> None:
        self.spec = engine.spec
        self._engine = engine
        self._executors = executors
        self._seconds_per_row = math.inf  # not measured yet
        self._last_per_row = 0.0
        self._in_thread = 0

    async def predict(self, rows: Rows, deadline: float = math.inf) -> Probabilities:
        """Probabilities for `rows`, shape (n, features); InvalidInput when the width is not the model's, DeadlineExceeded
        when its turn comes after `deadline`, a time of `time.monotonic`.
        """
        engine = self._classifier(rows)
        return await self._run(self._traced(engine.predict), rows, len(rows), deadline)

    async def infer(self, tensors: Tensors, deadline: float = math.inf) -> dict[str, NDArray[Any]]:
        """The outputs of a model that is no classifier, by name; InvalidInput when it refuses the inputs."""
        if self.spec.is_classifier:
            raise InvalidInput(f"{self.spec.name} is a classifier: it takes rows of features.", param="model")
        try:
            engine = cast("TensorEngine", self._engine)
            return await self._run(self._traced(engine.infer), tensors, self._weight(tensors), deadline)
        except BadInput as error:
            raise InvalidInput(str(error)) from None

    async def attribute(self, row: Rows, deadline: float = math.inf) -> tuple[Probabilities, Attributions]:
        """Probabilities and attributions of one row, shape (1, features)."""
        engine = self._classifier(row)
        if len(row) != 1:
            raise InvalidInput("Attributions are for one row at a time.", param="features")

        def both(one: Rows) -> tuple[Probabilities, Attributions]:
            _require_time(deadline)
            return engine.predict(one), engine.attribute(one)

        return await self._in(self._executors.attribute, self._traced(both), row)

    async def warm_up(self) -> None:
        """Import what explanations need, so that the first caller does not wait for it."""
        if self.spec.is_classifier:
            await self._in(self._executors.attribute, warm_up_attributions, cast("Engine", self._engine))

    def _classifier(self, rows: Rows) -> Engine:
        if not self.spec.is_classifier:
            raise InvalidInput(f"{self.spec.name} is no classifier: it takes tensors.", param="model")
        width = len(self.spec.features)
        if rows.ndim != 2 or rows.shape[1] != width:  # noqa: PLR2004 - a table has two dimensions
            raise InvalidInput(f"Expected shape [-1, {width}], got {list(rows.shape)}.", param="features")
        return cast("Engine", self._engine)

    def _traced(self, work: Callable[[Given], Outcome]) -> Callable[[Given], Outcome]:
        """The same, with a span where the request is sampled."""
        span = current_span()
        if span is None:
            return work
        spec = self.spec
        attributes: Attributes = {
            "tandem.model.name": spec.name,
            "tandem.model.version": spec.version,
            "tandem.model.framework": spec.framework,
        }
        return span.timing("engine", work, attributes)

    def _weight(self, tensors: Tensors) -> int:
        """Rows in a batch, or 1 for a model that has none."""
        first = next(iter(tensors.values()), None)
        return len(first) if self.spec.batches and first is not None and first.ndim else 1

    async def _run(self, work: Callable[[Given], Outcome], given: Given, count: int, deadline: float) -> Outcome:
        if not self._in_thread and (not count or count * self._seconds_per_row < _INLINE_SECONDS):
            return self._timed(work, given, count, deadline)
        self._in_thread += 1
        running = asyncio.ensure_future(
            self._in(self._executors.predict, lambda it: self._timed(work, it, count, deadline), given)
        )
        running.add_done_callback(self._left_thread)
        return await asyncio.shield(running)  # a caller that leaves does not stop the thread

    def _left_thread(self, _: asyncio.Future[Any]) -> None:
        self._in_thread -= 1

    def _timed(self, work: Callable[[Given], Outcome], given: Given, count: int, deadline: float) -> Outcome:
        _require_time(deadline)
        started = time.perf_counter()
        outcome = work(given)
        if count:
            self._learn((time.perf_counter() - started) / count)
        return outcome

    def _learn(self, per_row: float) -> None:
        """A call took so many seconds a row. One alone that takes far longer than others may have been interrupted, which says nothing
        of the model: it counts for twice of what is known. The second in a row counts in full.
        """
        known, before = self._seconds_per_row, self._last_per_row
        self._last_per_row = per_row
        likely = min(per_row, max(before, 2 * known + _TICK))
        self._seconds_per_row = 0.8 * known + 0.2 * likely if math.isfinite(known) else per_row

    @staticmethod
    async def _in(executor: ThreadPoolExecutor, work: Callable[[Given], Outcome], given: Given) -> Outcome:
        return await asyncio.get_running_loop().run_in_executor(executor, work, given)


def _require_time(deadline: float) -> None:
    """Raises DeadlineExceeded when nobody waits for the work that is about to begin."""
    if time.monotonic() > deadline:
        raise DeadlineExceeded("The time that the caller gave ran out before the work began.")
