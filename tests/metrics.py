"""Metrics for tests, and what they came to."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from services.telemetry.metrics import Metrics


def make_metrics(registry: CollectorRegistry | None = None) -> Metrics:
    """Metrics of their own."""
    return Metrics(registry or CollectorRegistry())


def value(metrics: Metrics, registry: CollectorRegistry, name: str, **labels: str) -> float:
    """A sample, as Prometheus would see it now; 0 for one that is not there."""
    metrics.flush()
    return registry.get_sample_value(name, labels) or 0.0
