from __future__ import annotations

from prometheus_client import CollectorRegistry, Histogram, generate_latest

from scripts.bench.histogram import Bucket, batch_sizes, batches_between


def exposition(*observed: tuple[str, int]) -> str:
    registry = CollectorRegistry()
    histogram = Histogram("tandem_batch_rows", "Rows.", ["model"], buckets=(1, 8, 64), registry=registry)
    for model, rows in observed:
        histogram.labels(model).observe(rows)
    return generate_latest(registry).decode()


def test_buckets_are_told_apart_and_other_models_left_out() -> None:
    text = exposition(("iris", 1), ("iris", 5), ("iris", 6), ("iris", 100), ("fraud", 1))
    assert batch_sizes(text) == [Bucket(1, 1), Bucket(8, 2), Bucket(64, 0), Bucket(float("inf"), 1)]


def test_only_what_came_between_two_looks_counts() -> None:
    before = exposition(("iris", 1))
    after = exposition(("iris", 1), ("iris", 1), ("iris", 64))
    assert [one.batches for one in batches_between(before, after)] == [1, 0, 1, 0]


def test_a_server_without_the_metric_has_no_histogram() -> None:
    assert batches_between("", "") == []
