from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import Decision, TraceIdRatioBased

from services.errors import Unavailable
from services.settings.telemetry import TracingSettings
from services.telemetry.access_log import AccessLine
from services.telemetry.spans import current_span
from services.telemetry.trace_context import caller_of
from services.telemetry.tracing import Tracing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from services.telemetry.spans import TraceSpan


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    yield exporter
    exporter.shutdown()


def tracing(exporter: InMemorySpanExporter, **settings: Any) -> Tracing:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return Tracing(TracingSettings(**settings), provider.get_tracer("test"), provider.shutdown)


def line(**fields: Any) -> AccessLine:
    return AccessLine(0.0, "id", "GET", "/livez", 200, 0.0, **fields)


def parent(trace_id: str, flags: str = "01") -> list[tuple[bytes, bytes]]:
    return [(b"traceparent", f"00-{trace_id}-b7ad6b7169203331-{flags}".encode())]


def named(exporter: InMemorySpanExporter) -> dict[str, ReadableSpan]:
    return {one.name: one for one in exporter.get_finished_spans()}


def fail_under(span: TraceSpan, name: str, error: BaseException) -> None:
    with span.under(name) as inner:
        assert current_span() is inner
        raise error


def test_a_share_of_the_requests_is_traced(spans: InMemorySpanExporter) -> None:
    half = tracing(spans, sample_ratio=0.5)
    for _ in range(1000):
        one = line()
        half.begin(one, None)
        assert bool(one.trace_id) == (current_span() is not None)
        half.end(one)
        assert current_span() is None
    assert 400 < len(spans.get_finished_spans()) < 600


def test_the_share_of_traces_that_others_began_is_opentelemetrys(spans: InMemorySpanExporter) -> None:
    own = tracing(spans, sample_ratio=0.25, follow_caller=False)
    theirs = TraceIdRatioBased(0.25)
    for number in range(1, 200):
        trace_id = f"{number * 0x0123456789ABCDEF0123456789ABCDEF % 2**128:032x}"
        one = line()
        own.begin(one, caller_of(parent(trace_id)))
        assert (current_span() is not None) == (
            theirs.should_sample(None, int(trace_id, 16), "").decision is Decision.RECORD_AND_SAMPLE
        )
        own.end(one)
    assert 20 < len(spans.get_finished_spans()) < 80


def test_a_request_that_is_not_sampled_works_under_no_span(spans: InMemorySpanExporter) -> None:
    always = tracing(spans)
    always.begin(line(), None)
    assert current_span() is not None
    always.begin(line(), caller_of(parent("0af7651916cd43dd8448eb211c80319c", "00")))
    assert current_span() is None


def test_what_is_done_under_a_span_ends_with_it_and_tells_of_errors(spans: InMemorySpanExporter) -> None:
    always = tracing(spans)
    one = line()
    always.begin(one, None)
    span = current_span()
    assert span is not None
    for name, error in (("inner", Unavailable("Gone.")), ("left", asyncio.CancelledError())):
        with pytest.raises(type(error)):
            fail_under(span, name, error)
    assert current_span() is span
    assert span.timing("work", str)(1) == "1"
    span.past("waited", 0.5)
    always.end(one)
    found = named(spans)
    assert found["inner"].attributes == {"error.type": "unavailable"}
    assert not found["inner"].status.is_ok
    assert found["left"].attributes == {"error.type": "CancelledError"}
    assert found["work"].status.is_unset
    waited = found["waited"]
    assert waited.start_time is not None
    assert waited.end_time is not None
    assert waited.end_time - waited.start_time == 500_000_000
    root = found["GET /livez"]
    assert root.context is not None
    for name in ("inner", "left", "work", "waited"):
        above = found[name].parent
        assert above is not None
        assert above.span_id == root.context.span_id


def test_headers_carry_the_span_on(spans: InMemorySpanExporter) -> None:
    always = tracing(spans)
    trace_id = "0af7651916cd43dd8448eb211c80319c"
    always.begin(line(), caller_of([*parent(trace_id), (b"tracestate", b"vendor=1")]))
    span = current_span()
    assert span is not None
    headers = span.headers()
    assert headers["traceparent"].startswith(f"00-{trace_id}-")
    assert headers["traceparent"].endswith("-01")
    assert headers["tracestate"] == "vendor=1"
    joined = always.join("other process", [(name.encode(), value.encode()) for name, value in headers.items()])
    assert joined is not None
    joined.end()
    assert always.join("nobody's", ()) is None
    above = named(spans)["other process"].parent
    assert above is not None
    assert f"{above.span_id:016x}" == headers["traceparent"].split("-")[2]
