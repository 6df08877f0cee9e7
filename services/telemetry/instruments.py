"""Counters and histograms for hot paths: they count in plain numbers, and tell Prometheus' client when flushed.

A count of Prometheus' client takes a lock and writes to a file that all processes share, and a histogram looks through its
buckets one by one; here a count is an addition. What has not been flushed is lost with a process that is killed.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, Any

import numpy as np
import prometheus_client

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from prometheus_client import CollectorRegistry

    from services.telemetry.definitions import Definition

Labels = tuple[str, ...]
_MANY = 64
"""Values from which on numpy finds their buckets sooner."""


class Count:
    """One time series of a counter: add to `pending`."""

    __slots__ = ("_told", "pending")

    def __init__(self, told: prometheus_client.Counter) -> None:
        self._told = told
        self.pending = 0

    def flush(self) -> None:
        """Tell what was counted since the last call."""
        if self.pending:
            self._told.inc(self.pending)
            self.pending = 0


class Spread:
    """One time series of a histogram."""

    __slots__ = ("_bounds", "_counts", "_sum", "_told")

    def __init__(self, told: _Histogram, bounds: tuple[float, ...]) -> None:
        self._told = told
        self._bounds = bounds
        self._counts: list[int] = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def observe(self, value: float) -> None:
        """Note one value."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def observe_all(self, values: Sequence[float]) -> None:
        """Note many values."""
        if len(values) < _MANY:
            for value in values:
                self.observe(value)
            return
        places = np.searchsorted(self._bounds, values)
        for place, count in enumerate(np.bincount(places).tolist()):
            self._counts[place] += count
        self._sum += sum(values)

    def flush(self) -> None:
        """Tell what was observed since the last call."""
        counts = self._counts
        if any(counts):
            self._told.add(counts, self._sum)
            self._counts = [0] * len(counts)
            self._sum = 0.0


class _Histogram(prometheus_client.Histogram):
    """A histogram that takes many observations at once."""

    def add(self, counts: list[int], total: float) -> None:
        """`counts[i]` values in bucket `i`, `total` together."""
        self._sum.inc(total)
        for bucket, count in zip(self._buckets, counts, strict=True):
            if count:
                bucket.inc(count)


class Counter:
    """A counter by its labels."""

    def __init__(self, definition: Definition, registry: CollectorRegistry) -> None:
        self._told = prometheus_client.Counter(
            definition.name, definition.meaning, definition.labels, registry=registry
        )
        self._by_labels: dict[Labels, Count] = {}

    def at(self, *labels: str) -> Count:
        """The time series of these label values."""
        known = self._by_labels.get(labels)
        if known is None:
            known = self._by_labels[labels] = Count(self._told.labels(*labels) if labels else self._told)
        return known

    def flush(self) -> None:
        """Tell what was counted since the last call."""
        for count in self._by_labels.values():
            count.flush()


class Histogram:
    """A histogram by its labels."""

    def __init__(self, definition: Definition, registry: CollectorRegistry) -> None:
        self._bounds = definition.buckets
        self._told = _Histogram(
            definition.name, definition.meaning, definition.labels, buckets=definition.buckets, registry=registry
        )
        self._by_labels: dict[Labels, Spread] = {}

    def at(self, *labels: str) -> Spread:
        """The time series of these label values."""
        known = self._by_labels.get(labels)
        if known is None:
            child: Any = self._told.labels(*labels) if labels else self._told
            known = self._by_labels[labels] = Spread(child, self._bounds)
        return known

    def flush(self) -> None:
        """Tell what was observed since the last call."""
        for spread in self._by_labels.values():
            spread.flush()


class Gauge:
    """A gauge whose values somebody is asked for at each flush. A series that is no longer told of is 0."""

    def __init__(self, definition: Definition, registry: CollectorRegistry) -> None:
        self._told = prometheus_client.Gauge(
            definition.name,
            definition.meaning,
            definition.labels,
            multiprocess_mode=definition.across,
            registry=registry,
        )
        self._sources: list[Callable[[], Mapping[Labels, float]]] = []
        self._last: dict[Labels, float] = {}

    def watch(self, source: Callable[[], Mapping[Labels, float]]) -> None:
        """Ask `source` for values by label values."""
        self._sources.append(source)

    def flush(self) -> None:
        """Ask, and tell what has changed."""
        now: dict[Labels, float] = dict.fromkeys(self._last, 0.0)
        for source in self._sources:
            now.update(source())
        for labels, value in now.items():
            if self._last.get(labels) != value:
                (self._told.labels(*labels) if labels else self._told).set(value)
        self._last = now


def flush_all(instruments: Iterable[Counter | Histogram | Gauge]) -> None:
    """Flush each of them."""
    for instrument in instruments:
        instrument.flush()
