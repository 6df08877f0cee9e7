from __future__ import annotations

import math
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from prometheus_client import Histogram as Reference

from services.telemetry.definitions import Definition
from services.telemetry.instruments import Counter, Gauge, Histogram

if TYPE_CHECKING:
    from collections.abc import Mapping

BUCKETS = (0.0, 1.0, 2.5, 10.0)
EDGES = st.sampled_from([*BUCKETS, math.nextafter(1.0, 0), math.nextafter(1.0, 2), 11.0])


def samples(registry: CollectorRegistry) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sample.labels.items())): sample.value
        for family in registry.collect()
        for sample in family.samples
        if not sample.name.endswith("_created")
    }


@given(st.lists(st.lists(st.floats(0, 100) | EDGES)))
def test_histogram_counts_what_prometheus_client_would(batches: list[list[float]]) -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    definition = Definition("seconds", "histogram", ("route",), "Meaning.", BUCKETS)
    histogram = Histogram(definition, ours)
    reference = Reference("seconds", "Meaning.", ["route"], buckets=BUCKETS, registry=theirs)
    for batch in batches:
        for value in batch:
            histogram.at("/").observe(value)
            reference.labels("/").observe(value)
        histogram.flush()
    expected = samples(theirs)
    found = samples(ours)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert math.isclose(found[name], value, abs_tol=1e-9), name


def test_counter_tells_each_count_once() -> None:
    registry = CollectorRegistry()
    counter = Counter(Definition("done", "counter", ("how",), "Meaning."), registry)
    counter.at("well").pending += 2
    counter.flush()
    counter.flush()
    counter.at("well").pending += 1
    assert registry.get_sample_value("done_total", {"how": "well"}) == 2
    counter.flush()
    assert registry.get_sample_value("done_total", {"how": "well"}) == 3


def test_gauge_asks_all_its_sources_and_a_series_that_is_gone_is_0() -> None:
    registry = CollectorRegistry()
    gauge = Gauge(Definition("waiting", "gauge", ("model",), "Meaning."), registry)
    first: Mapping[tuple[str, ...], float] = {("a",): 1, ("b",): 2}
    gauge.watch(lambda: first)
    gauge.watch(lambda: {("c",): 3})
    gauge.flush()
    assert [registry.get_sample_value("waiting", {"model": model}) for model in "abc"] == [1, 2, 3]
    first = {("a",): 5}
    gauge.flush()
    assert [registry.get_sample_value("waiting", {"model": model}) for model in "abc"] == [5, 0, 3]


def test_metrics_without_labels() -> None:
    registry = CollectorRegistry()
    counter = Counter(Definition("done", "counter", (), "Meaning."), registry)
    histogram = Histogram(Definition("seconds", "histogram", (), "Meaning.", BUCKETS), registry)
    gauge = Gauge(Definition("waiting", "gauge", (), "Meaning."), registry)
    gauge.watch(lambda: {(): 7})
    counter.at().pending += 1
    histogram.at().observe(1.5)
    for one in (counter, histogram, gauge):
        one.flush()
    assert registry.get_sample_value("done_total") == 1
    assert registry.get_sample_value("seconds_bucket", {"le": "2.5"}) == 1
    assert registry.get_sample_value("waiting") == 7
