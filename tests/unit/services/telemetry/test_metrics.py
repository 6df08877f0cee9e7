from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry

from services.telemetry import definitions
from services.telemetry.access_log import AccessLine
from services.telemetry.metrics import Metrics
from tests.metrics import value


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def metrics(registry: CollectorRegistry) -> Metrics:
    return Metrics(registry)


def answered(status: int, seconds: float, error: str = "") -> AccessLine:
    return AccessLine(1.5, "id-1", "POST", "/classify", status, seconds, error=error)


def test_requests_are_counted_by_route_and_status(metrics: Metrics, registry: CollectorRegistry) -> None:
    metrics.requests([answered(status, 0.25) for status in (200, 200, 503)])
    assert value(metrics, registry, "tandem_requests_total", route="/classify", status="200") == 2
    assert value(metrics, registry, "tandem_requests_total", route="/classify", status="503") == 1
    assert value(metrics, registry, "tandem_request_duration_seconds_count", route="/classify") == 3
    assert value(metrics, registry, "tandem_request_duration_seconds_sum", route="/classify") == 0.75


def test_errors_are_counted_by_reason(metrics: Metrics, registry: CollectorRegistry) -> None:
    metrics.requests([answered(429, 0.1, "overloaded"), answered(200, 0.1)])
    assert value(metrics, registry, "tandem_request_errors_total", route="/classify", reason="overloaded") == 1
    [errors] = [family for family in registry.collect() if family.name == "tandem_request_errors"]
    assert len([sample for sample in errors.samples if sample.name.endswith("_total")]) == 1


def test_batches_are_counted_by_model(metrics: Metrics, registry: CollectorRegistry) -> None:
    metrics.batch("iris", 4, 0.25)
    metrics.batch("iris", 60, 0.5)
    metrics.batch_done("iris", 0.125)
    assert value(metrics, registry, "tandem_batch_rows_sum", model="iris") == 64
    assert value(metrics, registry, "tandem_batch_rows_bucket", model="iris", le="4.0") == 1
    assert value(metrics, registry, "tandem_batch_wait_seconds_sum", model="iris") == 0.75
    assert value(metrics, registry, "tandem_batch_duration_seconds_sum", model="iris") == 0.125


def test_waits_decisions_and_changes_are_counted(metrics: Metrics, registry: CollectorRegistry) -> None:
    metrics.admitted("llm", 0.5)
    metrics.limiter_decisions("allowed").pending += 1
    metrics.limiter_decisions("refused", "caller", "tokens").pending += 1
    metrics.model_change("load", "failed")
    assert value(metrics, registry, "tandem_admission_wait_seconds_sum", backend="llm") == 0.5
    labels = {"decision": "refused", "scope": "caller", "limit": "tokens"}
    assert value(metrics, registry, "tandem_limiter_decisions_total", **labels) == 1
    assert value(metrics, registry, "tandem_model_changes_total", change="load", outcome="failed") == 1


def test_lost_log_lines_are_counted_once(metrics: Metrics, registry: CollectorRegistry) -> None:
    for so_far in (0, 3, 3, 5):
        metrics.log_lines_dropped(so_far)
    assert value(metrics, registry, "tandem_log_lines_dropped_total") == 5


def test_what_is_watched_is_asked_at_each_flush(metrics: Metrics, registry: CollectorRegistry) -> None:
    waiting: dict[tuple[str, ...], float] = {("llm",): 3.0}
    metrics.watch(definitions.ADMISSION_QUEUE, lambda: waiting)
    assert value(metrics, registry, "tandem_admission_queue_requests", backend="llm") == 3
    waiting["llm",] = 1
    assert value(metrics, registry, "tandem_admission_queue_requests", backend="llm") == 1


def test_every_definition_is_counted_here_or_told_elsewhere(metrics: Metrics, registry: CollectorRegistry) -> None:
    counted = {family.name for family in registry.collect()}
    told_elsewhere = {one.name for one in definitions.ALL if one.name.startswith(_ELSEWHERE)}
    assert counted | told_elsewhere == {one.name for one in definitions.ALL}
    assert not counted & told_elsewhere
    assert len(definitions.ALL) == len({one.name for one in definitions.ALL})


_ELSEWHERE = (
    "tandem_engine_",
    "tandem_model_info",
    "tandem_build_info",
    "tandem_dependency_",
    "tandem_process_",
    "tandem_gpu_",
)
