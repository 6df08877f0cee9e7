"""The batch-size histogram of a server, read from the text of its `/metrics`."""

from __future__ import annotations

from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

FAMILY = "tandem_batch_rows"


@dataclass(frozen=True)
class Bucket:
    """Batches of up to `upper` rows that no smaller bucket holds."""

    upper: float
    batches: float


def batch_sizes(text: str, model: str = "iris", family: str = FAMILY) -> list[Bucket]:
    """Batches by size for one model, empty when the server exposes none."""
    buckets, below = [], 0.0
    for upper, count in sorted(_cumulative(text, model, family).items()):
        buckets.append(Bucket(upper, count - below))
        below = count
    return buckets


def batches_between(before: str, after: str) -> list[Bucket]:
    """Batches by size that came between two looks at `/metrics`."""
    earlier = {one.upper: one.batches for one in batch_sizes(before)}
    return [Bucket(one.upper, one.batches - earlier.get(one.upper, 0.0)) for one in batch_sizes(after)]


def _cumulative(text: str, model: str, family: str) -> dict[float, float]:
    cumulative: dict[float, float] = {}
    for metric in text_string_to_metric_families(text):
        if metric.name != family:
            continue
        for sample in metric.samples:
            if sample.name == f"{family}_bucket" and sample.labels.get("model", model) == model:
                upper = float(sample.labels["le"])
                cumulative[upper] = cumulative.get(upper, 0.0) + sample.value
    return cumulative
