"""A collector that hangs, fails, is dead or is not there: requests go on."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest

from services.settings.telemetry import TracingSettings
from services.telemetry.access_log import AccessLine
from services.telemetry.span_encoding import SpanEncoder
from services.telemetry.span_export import SpanExporter
from services.telemetry.spans import TraceSpan
from services.telemetry.tracing import create_tracing
from tests.gateway import Bundle
from tests.integration.tracing.callers import SAMPLED, TRACE, make

if TYPE_CHECKING:
    from tests.otlp import Collector


async def test_a_collector_that_hangs_or_fails_costs_spans_and_no_request(
    collector: Collector, caplog: pytest.LogCaptureFixture
) -> None:
    tracing = make(collector, queue_size=20, timeout=0.2)
    bundle = Bundle(tracing=tracing)
    collector.gate.clear()
    async with bundle.client() as client:
        for _ in range(200):
            assert (await client.get("/livez")).status_code == 200
        assert await asyncio.to_thread(collector.reached.wait, 30)
        collector.status = 500
        collector.gate.set()
        await asyncio.to_thread(collector.wait, lambda _: collector.exports >= 1)
        collector.status = 200
        await client.get("/livez", headers=SAMPLED)
        spans = await asyncio.to_thread(collector.wait, lambda spans: any(one.trace_id == TRACE for one in spans))
        assert len(spans) < 100
        assert (await client.get("/livez")).status_code == 200
    tracing.close()
    said = [record.getMessage() for record in caplog.records if record.name == "tandem.tracing"]
    assert said == [
        "Spans cannot be sent to the collector and are lost; requests go on.",
        "Spans can be sent to the collector again.",
    ]
    assert not [record for record in caplog.records if record.name.startswith("opentelemetry")]


def test_closing_waits_for_a_dead_collector_for_seconds_only(collector: Collector) -> None:
    tracing = make(collector, timeout=60)
    collector.gate.clear()
    line = AccessLine(0.0, "id", "GET", "/livez", 200, 0.0)
    tracing.begin(line, None, is_sampled=True)
    tracing.end(line)
    began = time.monotonic()
    tracing.close()
    assert time.monotonic() - began < 20


@pytest.mark.parametrize(("status", "tried"), [(413, 2), (None, 1)])
def test_a_refused_request_does_not_keep_the_next_back_and_a_dead_collector_does(
    collector: Collector, monkeypatch: pytest.MonkeyPatch, status: int | None, tried: int
) -> None:
    spans: list[TraceSpan] = []
    for _ in range(2):
        span = TraceSpan.first(spans.append, "much")
        span.note({"text": "x" * 10**7})
        span.end()
    collector.status = status or 200
    settings = TracingSettings(endpoint=collector.url if status else "http://127.0.0.1:1", timeout=0.5)
    exporter = SpanExporter(settings, SpanEncoder({"service.name": "test"}, "tandem", "1"))
    outcomes = []
    send = exporter._client.export

    def sending(body: bytes) -> Any:
        outcomes.append(send(body))
        return outcomes[-1]

    monkeypatch.setattr(exporter._client, "export", sending)
    assert not exporter.send(spans)
    assert [one.status_code for one in outcomes] == [status] * tried
    exporter._client.shutdown()


def test_nothing_is_made_where_no_collector_is_named() -> None:
    assert create_tracing(TracingSettings(), "tandem-gateway") is None


def test_nothing_is_made_where_opentelemetry_is_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SDK_DISABLED", "True")
    assert create_tracing(TracingSettings(endpoint="http://127.0.0.1:9"), "tandem-gateway") is None


@pytest.mark.parametrize(("variable", "limit"), [("VALUE_LENGTH", 7), ("COUNT", 2)])
def test_opentelemetrys_limits_of_attributes_hold(
    collector: Collector, monkeypatch: pytest.MonkeyPatch, variable: str, limit: int
) -> None:
    monkeypatch.setenv(f"OTEL_SPAN_ATTRIBUTE_{variable}_LIMIT", str(limit))
    tracing = make(collector)
    line = AccessLine(0.0, "longer than that", "GET", "/livez", 200, 0.0)
    tracing.begin(line, None, is_sampled=True)
    tracing.end(line)
    found = collector.wait_for("GET /livez")["GET /livez"].attributes
    tracing.close()
    if variable == "COUNT":
        assert len(found) == limit
    else:
        assert (found["tandem.request.id"], found["http.response.status_code"]) == ("longer ", 200)
