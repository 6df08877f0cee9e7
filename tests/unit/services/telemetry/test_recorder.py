from __future__ import annotations

import json

import pytest
from prometheus_client import CollectorRegistry

from services.telemetry.access_log import AccessLine
from services.telemetry.exposition import Facts
from services.telemetry.recorder import Telemetry


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def telemetry(registry: CollectorRegistry) -> Telemetry:
    return Telemetry(access_log=True, registry=registry)


def line(status: int = 200) -> AccessLine:
    return AccessLine(1.5, "id-1", "POST", "/classify", status, 0.0, model="iris", rows=3)


def test_a_request_is_counted_timed_and_logged(
    telemetry: Telemetry, registry: CollectorRegistry, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    failed = line(503)
    telemetry.end(telemetry.begin(failed), failed)
    telemetry.close()
    assert registry.get_sample_value("tandem_requests_total", {"route": "/classify", "status": "503"}) == 1
    counted = registry.get_sample_value("tandem_request_duration_seconds_sum", {"route": "/classify"})
    logged = json.loads(capfdbinary.readouterr().out)
    assert 0 <= logged["seconds"] < 1
    assert logged["seconds"] == pytest.approx(counted, abs=1e-6)
    assert logged["status"] == 503


def test_requests_in_flight_go_up_and_down(telemetry: Telemetry, registry: CollectorRegistry) -> None:
    began = [telemetry.begin(line()), telemetry.begin(line())]
    telemetry.flush()
    assert telemetry.active == 2
    assert registry.get_sample_value("tandem_requests_in_flight") == 2
    for start in began:
        telemetry.end(start, line())
    telemetry.flush()
    assert b"tandem_requests_in_flight 0.0" in telemetry.exposition(Facts())


def test_access_log_can_be_off(registry: CollectorRegistry, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    telemetry = Telemetry(access_log=False, registry=registry)
    telemetry.end(telemetry.begin(line()), line())
    telemetry.close()
    assert capfdbinary.readouterr().out == b""
    assert registry.get_sample_value("tandem_requests_total", {"route": "/classify", "status": "200"}) == 1
