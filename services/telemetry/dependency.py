"""What a Classifier or an LLM counts and tells of itself, for when it runs alone; beside a gateway, the gateway tells it all."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from prometheus_client import REGISTRY, CollectorRegistry, Histogram

from services.telemetry import definitions
from services.telemetry.exposition import Facts, FactsCollector, exposition
from services.telemetry.processes import ProcessesCollector

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class EngineMetrics:
    """Times the calls of engines. Once a batch, so it may cost what Prometheus' client costs."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        definition = definitions.ENGINE_DURATION
        self._duration = Histogram(
            definition.name, definition.meaning, definition.labels, buckets=definition.buckets, registry=registry
        )

    @contextmanager
    def timing(self, model: str, operation: str) -> Iterator[None]:
        """Time what is done here, unless it fails."""
        began = time.perf_counter()
        yield
        self._duration.labels(model, operation).observe(time.perf_counter() - began)


def dependency_exposition(folder: Path | None, facts: Facts) -> bytes:
    """All metrics of a service that runs alone, in Prometheus' text format; takes milliseconds, so use a thread."""
    return exposition(REGISTRY, folder, FactsCollector(facts), ProcessesCollector())
