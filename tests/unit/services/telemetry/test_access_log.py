from __future__ import annotations

import json
from typing import TYPE_CHECKING

from services.telemetry.access_log import AccessLine, AccessLog

if TYPE_CHECKING:
    import pytest


def line(route: str) -> AccessLine:
    return AccessLine(1.5, "id-1", "POST", route, 200, 0.25, model="iris", rows=3)


def test_one_line_a_request_is_written_at_the_flush(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    log = AccessLog()
    log.add(line("/classify"))
    log.add(line("/livez"))
    assert capfdbinary.readouterr().out == b""
    log.flush()
    written = capfdbinary.readouterr().out
    assert written.endswith(b"\n")
    first, second = (json.loads(one) for one in written.splitlines())
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
    log.flush()
    assert capfdbinary.readouterr().out == b""


def test_log_line_stays_one_line_whatever_the_client_sent(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    log = AccessLog()
    log.add(AccessLine(0.0, 'a"b\n{', "G\r\nET", "unknown", 404, 0.0, error="not_found"))
    log.flush()
    (written,) = capfdbinary.readouterr().out.splitlines()
    assert json.loads(written)["request_id"] == 'a"b\n{'
