from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from prometheus_client import CollectorRegistry

from services.telemetry import AccessLine, Telemetry

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def telemetry(registry: CollectorRegistry) -> Telemetry:
    return Telemetry(access_log=True, registry=registry)


def line(route: str = "/classify", status: int = 200) -> AccessLine:
    return AccessLine(1.5, "id-1", "POST", route, status, 0.0, model="iris", rows=3)


def test_requests_are_counted_by_route_and_status(telemetry: Telemetry, registry: CollectorRegistry) -> None:
    for status in (200, 200, 503):
        telemetry.end(telemetry.begin(), line(status=status))
    assert registry.get_sample_value("tandem_requests_total", {"route": "/classify", "status": "200"}) == 2
    assert registry.get_sample_value("tandem_requests_total", {"route": "/classify", "status": "503"}) == 1
    assert registry.get_sample_value("tandem_request_duration_seconds_count", {"route": "/classify"}) == 3
    seconds = registry.get_sample_value("tandem_request_duration_seconds_sum", {"route": "/classify"})
    assert seconds is not None
    assert 0 < seconds < 1


def test_requests_in_flight_go_up_and_down(telemetry: Telemetry, registry: CollectorRegistry) -> None:
    began = [telemetry.begin(), telemetry.begin()]
    telemetry.flush()
    assert telemetry.active == 2
    assert registry.get_sample_value("tandem_requests_in_flight") == 2
    for start in began:
        telemetry.end(start, line())
    assert b"tandem_requests_in_flight 0.0" in telemetry.exposition()


def test_batches_are_counted_by_model(telemetry: Telemetry, registry: CollectorRegistry) -> None:
    telemetry.batch("iris", 4, 0.25)
    telemetry.batch("iris", 60, 0.5)
    assert registry.get_sample_value("tandem_batch_rows_sum", {"model": "iris"}) == 64
    assert registry.get_sample_value("tandem_batch_rows_bucket", {"model": "iris", "le": "4.0"}) == 1
    assert registry.get_sample_value("tandem_batch_wait_seconds_sum", {"model": "iris"}) == 0.75


def test_one_line_a_request_is_written_at_the_flush(
    telemetry: Telemetry, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    telemetry.end(telemetry.begin(), line())
    telemetry.end(telemetry.begin(), line("/livez"))
    assert capfdbinary.readouterr().out == b""
    telemetry.flush()
    written = capfdbinary.readouterr().out
    assert written.endswith(b"\n")
    first, second = (json.loads(one) for one in written.splitlines())
    assert second["route"] == "/livez"
    assert 0 < first.pop("seconds") < 1
    assert first == {
        "time": 1.5,
        "request_id": "id-1",
        "method": "POST",
        "route": "/classify",
        "status": 200,
        "model": "iris",
        "rows": 3,
    }
    telemetry.flush()
    assert capfdbinary.readouterr().out == b""


def test_log_line_stays_one_line_whatever_the_client_sent(
    telemetry: Telemetry, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    telemetry.end(telemetry.begin(), AccessLine(0.0, 'a"b\n{', "G\r\nET", "unknown", 404, 0.0, error="not_found"))
    telemetry.flush()
    (written,) = capfdbinary.readouterr().out.splitlines()
    assert json.loads(written)["request_id"] == 'a"b\n{'


def test_access_log_can_be_off(registry: CollectorRegistry, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    telemetry = Telemetry(access_log=False, registry=registry)
    telemetry.end(telemetry.begin(), line())
    telemetry.flush()
    assert capfdbinary.readouterr().out == b""
    assert registry.get_sample_value("tandem_requests_total", {"route": "/classify", "status": "200"}) == 1


def test_exposition_is_prometheus_text(telemetry: Telemetry) -> None:
    telemetry.end(telemetry.begin(), line())
    text = telemetry.exposition().decode()
    assert "# TYPE tandem_requests_total counter" in text
    assert 'tandem_requests_total{route="/classify",status="200"} 1.0' in text


def test_models_that_are_served_are_told_and_forgotten(telemetry: Telemetry) -> None:
    assert b'tandem_model_served{model="iris",version="v1"} 1.0' in telemetry.exposition([("iris", "v1")])
    assert b"tandem_model_served{" not in telemetry.exposition()


def test_gauges_of_dead_processes_are_forgotten(tmp_path: Path) -> None:
    program = (
        "from prometheus_client import Counter, Gauge\n"
        "Gauge('running', 'd', multiprocess_mode='mostrecent').set(3)\n"
        "Counter('done', 'd').inc(2)"
    )
    environment = {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path), "PATH": ""}
    subprocess.run([sys.executable, "-c", program], env=environment, check=True)
    assert list(tmp_path.glob("gauge_mostrecent_*.db"))
    text = Telemetry(access_log=False, registry=CollectorRegistry(), shared_folder=tmp_path).exposition().decode()
    assert "done_total 2.0" in text
    assert "running 3.0" not in text
