from __future__ import annotations

import time

import pytest
from prometheus_client import CollectorRegistry

from services.telemetry.dependency import EngineMetrics, dependency_exposition
from services.telemetry.exposition import Facts


def test_calls_are_timed_by_model_and_operation() -> None:
    registry = CollectorRegistry()
    metrics = EngineMetrics(registry)
    for operation in ("predict", "predict", "attribute"):
        metrics.ran("iris", operation, time.perf_counter() - 0.25)
    labels = {"model": "iris", "operation": "predict"}
    assert registry.get_sample_value("tandem_engine_duration_seconds_count", labels) == 2
    assert registry.get_sample_value("tandem_engine_duration_seconds_sum", labels) == pytest.approx(0.5, abs=0.2)


def test_exposition_of_a_service_that_runs_alone() -> None:
    text = dependency_exposition(None, Facts(models=(("mini", "", "vllm"),))).decode()
    assert 'tandem_model_info{framework="vllm",model="mini",version=""} 1.0' in text
    assert "tandem_build_info{" in text
    assert "# TYPE tandem_process_open_fds gauge" in text
