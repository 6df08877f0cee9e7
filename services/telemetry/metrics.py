"""Metrics, defined here once.

Names follow Prometheus' conventions; label values are bounded: routes are templates, models are those that are served.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import psutil
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
    multiprocess,
    values,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

_LATENCY_BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_ROWS_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


def count_in_this_process() -> None:
    """Spare every shared count the question which process this is: by default the kernel is asked each time, in case it
    was forked, and ours never are. Call it before anything is counted, where BentoML shares a metrics folder.
    """
    pid = os.getpid()
    values.ValueClass = values.MultiProcessValue(lambda: pid)  # type: ignore[no-untyped-call]


class Metrics:
    """Counts and times of one gateway process."""

    def __init__(self, registry: CollectorRegistry, shared_folder: Path | None) -> None:
        """Metrics are registered in `registry`; `shared_folder` holds those of every process of this server."""
        self._registry = registry
        self._folder = shared_folder
        self._requests = Counter("tandem_requests", "Requests answered.", ["route", "status"], registry=registry)
        self._latency = Histogram(
            "tandem_request_duration_seconds", "Time to answer.", ["route"], buckets=_LATENCY_BUCKETS, registry=registry
        )
        self._in_flight = Gauge(
            "tandem_requests_in_flight", "Requests being answered.", multiprocess_mode="livesum", registry=registry
        )
        self._batch_rows = Histogram(
            "tandem_batch_rows", "Rows in a batch.", ["model"], buckets=_ROWS_BUCKETS, registry=registry
        )
        self._batch_wait = Histogram(
            "tandem_batch_wait_seconds",
            "Time the oldest row of a batch waited.",
            ["model"],
            buckets=_LATENCY_BUCKETS,
            registry=registry,
        )
        self._log_lines_dropped = Counter(
            "tandem_log_lines_dropped", "Access log lines that could not be written.", registry=registry
        )
        self._dropped = 0
        self._by_route: dict[tuple[str, int], tuple[Counter, Histogram]] = {}

    def request(self, route: str, status: int, seconds: float) -> None:
        """Note a request that has been answered."""
        known = self._by_route.get((route, status))
        if known is None:
            known = (self._requests.labels(route, str(status)), self._latency.labels(route))
            self._by_route[(route, status)] = known
        known[0].inc()
        known[1].observe(seconds)

    def in_flight(self, active: int) -> None:
        """Say how many requests are being answered."""
        self._in_flight.set(active)

    def log_lines_dropped(self, so_far: int) -> None:
        """Say how many log lines were lost since the start."""
        if so_far > self._dropped:
            self._log_lines_dropped.inc(so_far - self._dropped)
            self._dropped = so_far

    def batch(self, model: str, rows: int, waited: float) -> None:
        """Note a batch that leaves for `model`."""
        self._batch_rows.labels(model).observe(rows)
        self._batch_wait.labels(model).observe(waited)

    def exposition(self, served: Iterable[tuple[str, str]] = ()) -> bytes:
        """All metrics in Prometheus' text format, of every process that shares BentoML's metrics folder.

        `served` is name and version of the models that are served, which need no counting.
        """
        shared = self._registry
        if self._folder is not None:
            _forget_the_dead(self._folder)
            shared = CollectorRegistry()
            multiprocess.MultiProcessCollector(shared, str(self._folder))  # type: ignore[no-untyped-call]
        models = CollectorRegistry()
        models.register(_Served(served))
        return generate_latest(shared) + generate_latest(models)


def _forget_the_dead(folder: Path) -> None:
    """Drop the gauges of processes that are gone: a killed engine would run its last requests for ever."""
    for file in folder.glob("gauge_*_*.db"):
        pid = file.stem.rpartition("_")[2]
        if pid.isdigit() and not psutil.pid_exists(int(pid)):
            file.unlink(missing_ok=True)


class _Served(Collector):
    """The models that are served, as a metric that forgets those that no longer are."""

    def __init__(self, served: Iterable[tuple[str, str]]) -> None:
        self._served = tuple(served)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        family = GaugeMetricFamily("tandem_model_served", "1 for each version served.", labels=["model", "version"])
        for model in self._served:
            family.add_metric(model, 1)
        yield family
