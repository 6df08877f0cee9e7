"""What a Classifier or an LLM counts and tells of itself, for when it runs alone; beside a gateway, the gateway tells it all."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from prometheus_client import REGISTRY, CollectorRegistry, Histogram

from services.telemetry import definitions
from services.telemetry.exposition import Facts, FactsCollector, exposition
from services.telemetry.processes import ProcessesCollector

if TYPE_CHECKING:
    from pathlib import Path


class EngineMetrics:
    """Times the calls of engines: once a batch, so it may cost what Prometheus' client costs."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        definition = definitions.ENGINE_DURATION
        self._duration = Histogram(
            definition.name, definition.meaning, definition.labels, buckets=definition.buckets, registry=registry
        )
        self._known: dict[tuple[str, str], Histogram] = {}

    def ran(self, model: str, operation: str, began: float) -> None:
        """Note a call that has come to its end, and began at a time of `time.perf_counter`."""
        known = self._known.get((model, operation))
        if known is None:
            known = self._known[model, operation] = self._duration.labels(model, operation)
        known.observe(time.perf_counter() - began)


def dependency_exposition(folder: Path | None, facts: Facts) -> bytes:
    """All metrics of a service that runs alone, in Prometheus' text format; takes milliseconds, so use a thread."""
    return exposition(REGISTRY, folder, FactsCollector(facts), ProcessesCollector())
