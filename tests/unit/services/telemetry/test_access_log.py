from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from services.settings.telemetry import LogsSettings
from services.telemetry.access_log import AccessLine, AccessLog

if TYPE_CHECKING:
    import pytest


def line(route: str, status: int = 200, seconds: float = 0.25) -> AccessLine:
    return AccessLine(1.5, "id-1", "POST", route, status, seconds, model="iris", rows=3)


def written(capture: pytest.CaptureFixture[bytes], log: AccessLog) -> list[dict[str, Any]]:
    log.close()
    out = capture.readouterr().out
    assert not out or out.endswith(b"\n")
    return [json.loads(one) for one in out.splitlines()]


def test_one_line_a_request_is_written_at_the_flush(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    log = AccessLog(LogsSettings())
    log.add([line("/classify"), line("/livez")])
    assert capfdbinary.readouterr().out == b""
    first, second = written(capfdbinary, log)
    assert second["route"] == "/livez"
    assert first == {
        "time": 1.5,
        "request_id": "id-1",
        "method": "POST",
        "route": "/classify",
        "status": 200,
        "seconds": 0.25,
        "model": "iris",
        "rows": 3,
    }
    assert written(capfdbinary, log) == []


def test_log_line_stays_one_line_whatever_the_client_sent(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    log = AccessLog(LogsSettings())
    log.add([AccessLine(0.0, 'a"b\n{', "G\r\nET", "unknown", 404, 0.0, error="not_found")])
    (only,) = written(capfdbinary, log)
    assert only["request_id"] == 'a"b\n{'


def test_failed_and_slow_requests_are_logged_whatever_the_sample(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    log = AccessLog(LogsSettings(sample_ratio=0, slow_seconds=2))
    log.add([line("/fine"), line("/failed", 400), line("/gone", 499), line("/slow", 200, 2.0)])
    assert [one["route"] for one in written(capfdbinary, log)] == ["/failed", "/gone", "/slow"]


def test_a_share_of_the_others_is_logged(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    log = AccessLog(LogsSettings(sample_ratio=0.5))
    for _ in range(2000):
        log.add([line("/fine")])
    assert 800 < len(written(capfdbinary, log)) < 1200
