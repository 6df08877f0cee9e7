from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from prometheus_client import CollectorRegistry

from services.telemetry.metrics import Metrics

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def metrics(registry: CollectorRegistry) -> Metrics:
    return Metrics(registry, None)


def test_requests_are_counted_by_route_and_status(metrics: Metrics, registry: CollectorRegistry) -> None:
    for status in (200, 200, 503):
        metrics.request("/classify", status, 0.25)
    assert registry.get_sample_value("tandem_requests_total", {"route": "/classify", "status": "200"}) == 2
    assert registry.get_sample_value("tandem_requests_total", {"route": "/classify", "status": "503"}) == 1
    assert registry.get_sample_value("tandem_request_duration_seconds_count", {"route": "/classify"}) == 3
    assert registry.get_sample_value("tandem_request_duration_seconds_sum", {"route": "/classify"}) == 0.75


def test_batches_are_counted_by_model(metrics: Metrics, registry: CollectorRegistry) -> None:
    metrics.batch("iris", 4, 0.25)
    metrics.batch("iris", 60, 0.5)
    assert registry.get_sample_value("tandem_batch_rows_sum", {"model": "iris"}) == 64
    assert registry.get_sample_value("tandem_batch_rows_bucket", {"model": "iris", "le": "4.0"}) == 1
    assert registry.get_sample_value("tandem_batch_wait_seconds_sum", {"model": "iris"}) == 0.75


def test_exposition_is_prometheus_text(metrics: Metrics) -> None:
    metrics.request("/classify", 200, 0.25)
    text = metrics.exposition().decode()
    assert "# TYPE tandem_requests_total counter" in text
    assert 'tandem_requests_total{route="/classify",status="200"} 1.0' in text


def test_models_that_are_served_are_told_and_forgotten(metrics: Metrics) -> None:
    assert b'tandem_model_served{model="iris",version="v1"} 1.0' in metrics.exposition([("iris", "v1")])
    assert b"tandem_model_served{" not in metrics.exposition()


def test_gauges_of_dead_processes_are_forgotten(tmp_path: Path) -> None:
    program = (
        "from prometheus_client import Counter, Gauge\n"
        "Gauge('running', 'd', multiprocess_mode='mostrecent').set(3)\n"
        "Counter('done', 'd').inc(2)"
    )
    environment = {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path), "PATH": ""}
    subprocess.run([sys.executable, "-c", program], env=environment, check=True)
    assert list(tmp_path.glob("gauge_mostrecent_*.db"))
    text = Metrics(CollectorRegistry(), tmp_path).exposition().decode()
    assert "done_total 2.0" in text
    assert "running 3.0" not in text
