from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry

from services.telemetry.dependency import EngineMetrics, dependency_exposition
from services.telemetry.exposition import Facts


def test_calls_are_timed_unless_they_fail() -> None:
    registry = CollectorRegistry()
    metrics = EngineMetrics(registry)
    with metrics.timing("iris", "predict"):
        pass
    with pytest.raises(KeyError), metrics.timing("iris", "predict"):
        raise KeyError
    labels = {"model": "iris", "operation": "predict"}
    assert registry.get_sample_value("tandem_engine_duration_seconds_count", labels) == 1


def test_exposition_of_a_service_that_runs_alone() -> None:
    text = dependency_exposition(None, Facts(models=(("mini", "", "vllm"),))).decode()
    assert 'tandem_model_info{framework="vllm",model="mini",version=""} 1.0' in text
    assert "tandem_build_info{" in text
    assert "# TYPE tandem_process_open_fds gauge" in text
