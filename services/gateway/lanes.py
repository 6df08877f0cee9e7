"""What each version of a model is reached through: its contract, and the batcher before the Classifier."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from services.gateway.batching import Batcher, BatchLimits
from services.gateway.contract import Contract
from services.gateway.watching import watch_batchers

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from models.spec import ModelSpec
    from services.gateway.backends import ClassifierBackend
    from services.settings.tree import Settings
    from services.telemetry.metrics import Metrics

_CALLS_AT_ONCE = 16
"""Of a model that takes each request in a call of its own: the hop takes them side by side."""


@dataclass(frozen=True, slots=True)
class Lane:
    """What one version of a model is reached through."""

    contract: Contract
    batcher: Batcher[Any, Any]


class Lanes:
    """One for each version that is asked for, from its first request on."""

    def __init__(self, classifier: ClassifierBackend, settings: Settings, metrics: Metrics) -> None:
        self._classifier = classifier
        self._max_rows = settings.gateway.max_rows
        self._limits = BatchLimits(
            settings.batching.max_rows, settings.batching.max_in_flight, settings.batching.max_queued_rows
        )
        self._metrics = metrics
        self._lanes: dict[tuple[str, str], Lane] = {}
        self._replicas = 1
        classifier.listen(self._widen)
        watch_batchers(metrics, self._lanes, settings.batching.max_queued_rows)

    def of(self, spec: ModelSpec) -> Lane:
        """The lane of a model's version."""
        lane = self._lanes.get((spec.name, spec.version))
        if lane is None:
            lane = self._lanes[spec.name, spec.version] = Lane(Contract(spec, self._max_rows), self._batcher(spec))
        return lane

    def sweep(self, holds: Callable[[str, str], bool]) -> None:
        """Drop what belongs to versions that are served no more, as `holds` says, and have nothing left to do."""
        for key, lane in tuple(self._lanes.items()):
            busy = lane.batcher.in_flight or lane.batcher.queued_rows
            if not busy and not holds(*key):
                del self._lanes[key]

    def abandon(self) -> None:
        """Give up the predictions that wait or are under way."""
        for lane in self._lanes.values():
            lane.batcher.abandon()

    async def close(self) -> None:
        """Finish what was accepted."""
        for lane in tuple(self._lanes.values()):
            await lane.batcher.close()

    def _widen(self, replicas: int) -> None:
        self._replicas = max(1, replicas)
        for lane in self._lanes.values():
            lane.batcher.widen(self._replicas)

    def _batcher(self, spec: ModelSpec) -> Batcher[Any, Any]:
        """Payloads of a classifier are rows, as `ClassifierBackend.predict` takes them; else inputs by name.

        Where these have no rows to join, each payload counts as one row and is a batch of its own.
        """
        limits = self._limits if spec.batches else replace(self._limits, max_rows=1, max_in_flight=_CALLS_AT_ONCE)
        call = self._classifier.predict if spec.is_classifier else self._classifier.infer

        async def timed(payloads: Sequence[Any]) -> Sequence[Any]:
            began = time.perf_counter()
            try:
                return await call(spec, payloads)
            finally:
                self._metrics.batch_done(spec.name, time.perf_counter() - began)

        batcher: Batcher[Any, Any] = Batcher(timed, limits, partial(self._metrics.batch, spec.name))
        batcher.widen(self._replicas)
        return batcher
