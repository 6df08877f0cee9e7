from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter
from prometheus_client.parser import text_string_to_metric_families

from services.runtime import VERSION
from services.telemetry.exposition import Facts, FactsCollector, exposition

if TYPE_CHECKING:
    from pathlib import Path

GPU = {"index": 0, "name": "H200", "used": 5, "total": 10, "utilization": 0.5, "temperature": 40, "power": None}


def shown(facts: Facts) -> dict[str, list[tuple[dict[str, str], float]]]:
    """What `facts` look like to a parser, by name."""
    text = exposition(CollectorRegistry(), None, FactsCollector(facts)).decode()
    return {
        family.name: [(sample.labels, sample.value) for sample in family.samples]
        for family in text_string_to_metric_families(text)
    }


def test_models_that_are_served_are_told() -> None:
    assert shown(Facts(models=(("iris", "v1", "scikit-learn"),)))["tandem_model_info"] == [
        ({"model": "iris", "version": "v1", "framework": "scikit-learn"}, 1)
    ]
    assert shown(Facts())["tandem_model_info"] == []


def test_each_dependency_is_in_one_state() -> None:
    states = shown(Facts(dependencies={"llm": "down"}))["tandem_dependency_state"]
    others = dict.fromkeys(("ready", "starting", "failed", "hung", "stopping"), 0)
    assert {labels["state"]: value for labels, value in states} == others | {"down": 1}


def test_figures_of_gpus_are_told_where_there_are_any() -> None:
    told = shown(Facts(gpus=(GPU,)))
    assert told["tandem_gpu_memory_used_bytes"] == [({"gpu": "0", "name": "H200"}, 5)]
    assert told["tandem_gpu_utilization_ratio"][0][1] == 0.5
    assert "tandem_gpu_power_watts" not in told
    assert not [name for name in shown(Facts()) if name.startswith("tandem_gpu_")]


def test_versions_are_told() -> None:
    [(labels, value)] = shown(Facts())["tandem_build_info"]
    assert value == 1
    assert labels["version"] == VERSION
    assert all(labels.values())


def test_counts_of_this_process_are_told_where_it_is_alone() -> None:
    registry = CollectorRegistry()
    Counter("done", "Meaning.", registry=registry).inc(2)
    text = exposition(registry, None).decode()
    assert "# TYPE done_total counter" in text
    assert "done_total 2.0" in text


def test_counts_of_all_processes_are_told_but_not_the_gauges_of_dead_ones(tmp_path: Path) -> None:
    program = (
        "from prometheus_client import Counter, Gauge\n"
        "Gauge('running', 'd', multiprocess_mode='mostrecent').set(3)\n"
        "Counter('done', 'd').inc(2)\n"
        "Counter('http_requests', 'of an app behind the gateway').inc(2)"
    )
    environment = {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path), "PATH": ""}
    for _ in range(2):
        subprocess.run([sys.executable, "-c", program], env=environment, check=True)
    assert list(tmp_path.glob("gauge_mostrecent_*.db"))
    text = exposition(CollectorRegistry(), tmp_path).decode()
    assert "done_total 4.0" in text
    assert "running 3.0" not in text
    assert "http_requests" not in text
