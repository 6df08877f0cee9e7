"""What one gateway process counts and times, under the names of `definitions.py`.

Label values are bounded: routes are templates, models those that are served, reasons the kinds of our errors.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from prometheus_client import values

from services.telemetry import definitions
from services.telemetry.generation import Generation, GenerationInstruments
from services.telemetry.instruments import Count, Counter, Gauge, Histogram, flush_all

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from prometheus_client import CollectorRegistry

    from services.telemetry.access_log import AccessLine


def count_in_this_process() -> None:
    """Spare every shared count the question which process this is: by default the kernel is asked each time, in case it
    was forked, and ours never are. Call it before anything is counted, where BentoML shares a metrics folder.
    """
    pid = os.getpid()
    values.ValueClass = values.MultiProcessValue(lambda: pid)  # type: ignore[no-untyped-call]


class Metrics:
    """Counts and times of one gateway process. They reach `registry` at each `flush`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._requests = Counter(definitions.REQUESTS, registry)
        self._latency = Histogram(definitions.REQUEST_DURATION, registry)
        self._errors = Counter(definitions.REQUEST_ERRORS, registry)
        self._batch_rows = Histogram(definitions.BATCH_ROWS, registry)
        self._batch_wait = Histogram(definitions.BATCH_WAIT, registry)
        self._batch_duration = Histogram(definitions.BATCH_DURATION, registry)
        self._admission_wait = Histogram(definitions.ADMISSION_WAIT, registry)
        self._limiter = Counter(definitions.LIMITER_DECISIONS, registry)
        self._changes = Counter(definitions.MODEL_CHANGES, registry)
        self._log_lines_dropped = Counter(definitions.LOG_LINES_DROPPED, registry)
        self._dropped = 0
        self._generations = GenerationInstruments(registry)
        self._gauges = {one.name: Gauge(one, registry) for one in _WATCHED}
        self._all: tuple[Counter | Histogram | Gauge, ...] = (
            self._requests,
            self._latency,
            self._errors,
            self._batch_rows,
            self._batch_wait,
            self._batch_duration,
            self._admission_wait,
            self._limiter,
            self._changes,
            self._log_lines_dropped,
            *self._generations.all,
            *self._gauges.values(),
        )
        self._answered: dict[tuple[str, int], list[float]] = {}
        """Seconds that requests took since the last flush, by their route and status: to count them together takes a third of the time."""
        self._batches: dict[str, list[tuple[int, float]]] = {}
        """Rows of the batches since the last flush, and how long their oldest waited, by model."""
        self._batch_seconds: dict[str, list[float]] = {}

    def requests(self, lines: Iterable[AccessLine]) -> None:
        """Note requests that have been answered."""
        route, status = "", -1
        seconds: list[float] = []
        for line in lines:
            if line.status != status or line.route != route:  # most are as the one before them
                route, status = line.route, line.status
                seconds = self._answered.setdefault((route, status), [])
            seconds.append(line.seconds)
            if line.error:
                self._errors.at(line.route, line.error).pending += 1

    def log_lines_dropped(self, so_far: int) -> None:
        """Say how many log lines were lost since the start."""
        self._log_lines_dropped.at().pending += so_far - self._dropped
        self._dropped = so_far

    def batch(self, model: str, rows: int, waited: float) -> None:
        """Note a batch that leaves for `model`, whose oldest row waited so many seconds."""
        self._batches.setdefault(model, []).append((rows, waited))

    def batch_done(self, model: str, seconds: float) -> None:
        """Note that a batch has come back, so many seconds after it left."""
        self._batch_seconds.setdefault(model, []).append(seconds)

    def admitted(self, backend: str, waited: float) -> None:
        """Note a request that was let in to `backend` after so many seconds."""
        self._admission_wait.at(backend).observe(waited)

    def limiter_decisions(self, decision: str, scope: str = "", limit: str = "") -> Count:
        """How often a charge was decided so; a refusal with whose limit it met, and which."""
        return self._limiter.at(decision, scope, limit)

    def model_change(self, change: str, outcome: str) -> None:
        """Note that a model was loaded or unloaded, or that this failed."""
        self._changes.at(change, outcome).pending += 1

    def generation(self, operation: str, model: str, line: AccessLine) -> Generation:
        """One request to the language model that begins now, for the request of `line`."""
        return Generation(self._generations, operation, model, line)

    def watch(self, gauge: definitions.Definition, source: Callable[[], Mapping[tuple[str, ...], float]]) -> None:
        """Ask `source` at each flush for the values of `gauge`, by label values."""
        self._gauges[gauge.name].watch(source)

    def flush(self) -> None:
        """Bring what Prometheus sees up to date. In the thread that counts."""
        for (route, status), seconds in self._answered.items():
            if seconds:
                self._requests.at(route, str(status)).pending += len(seconds)
                self._latency.at(route).observe_all(seconds)
                seconds.clear()
        for model, batches in self._batches.items():
            if batches:
                rows, waits = zip(*batches, strict=True)
                self._batch_rows.at(model).observe_all(rows)
                self._batch_wait.at(model).observe_all(waits)
                batches.clear()
        for model, seconds in self._batch_seconds.items():
            self._batch_duration.at(model).observe_all(seconds)
            seconds.clear()
        flush_all(self._all)


_WATCHED = (
    definitions.REQUESTS_IN_FLIGHT,
    definitions.BATCHES_IN_FLIGHT,
    definitions.BATCH_QUEUE_ROWS,
    definitions.BATCH_QUEUE_LIMIT,
    definitions.ADMISSION_QUEUE,
    definitions.ADMISSION_QUEUE_LIMIT,
    definitions.ADMISSION_IN_FLIGHT,
    definitions.ADMISSION_TOKENS,
    definitions.LIMITER_UP,
)
