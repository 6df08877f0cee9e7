from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from typing import Any

import pytest
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import Decision, TraceIdRatioBased
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, NonRecordingSpan, SpanKind, Status, StatusCode, set_span_in_context

from services.errors import Unavailable
from services.settings.telemetry import TracingSettings
from services.telemetry.access_log import AccessLine
from services.telemetry.span_export import finished
from services.telemetry.spans import TraceSpan, current_span
from services.telemetry.trace_context import caller_of
from services.telemetry.tracing import Tracing


@pytest.fixture
def spans() -> list[TraceSpan]:
    """Those that have ended."""
    return []


def tracing(spans: list[TraceSpan], **settings: Any) -> Tracing:
    return Tracing(TracingSettings(**settings), spans.append, lambda: None)


def line(**fields: Any) -> AccessLine:
    return AccessLine(0.0, "id", "GET", "/livez", 200, 0.0, **fields)


def parent(trace_id: str, flags: str = "01") -> list[tuple[bytes, bytes]]:
    return [(b"traceparent", f"00-{trace_id}-b7ad6b7169203331-{flags}".encode())]


def named(spans: list[TraceSpan]) -> dict[str, TraceSpan]:
    return {one.name: one for one in spans}


def fail_under(span: TraceSpan, name: str, error: BaseException) -> None:
    with span.under(name) as inner:
        assert current_span() is inner
        raise error


@pytest.mark.parametrize(
    ("share", "least", "most"),
    [
        (0.0, 0, 0),
        (5e-324, 0, 0),
        (0.02, 300, 500),
        (0.5, 9_600, 10_400),
        (0.999, 19_930, 20_000),
        (1.0, 20_000, 20_000),
    ],
)
def test_a_share_of_the_requests_is_traced(spans: list[TraceSpan], share: float, least: int, most: int) -> None:
    some = tracing(spans, sample_ratio=share)
    for _ in range(20_000):
        one = line()
        some.begin(one, None)
        assert bool(one.trace_id) == (current_span() is not None)
        some.end(one)
        assert current_span() is None
    assert least <= len(spans) <= most


def test_requests_are_sampled_whatever_became_of_those_before(spans: list[TraceSpan]) -> None:
    half = tracing(spans, sample_ratio=0.5)
    drawn = []
    for _ in range(20_000):
        one = line()
        half.begin(one, None)
        drawn.append(bool(one.trace_id))
        half.end(one)
    pairs = Counter(itertools.pairwise(drawn))
    assert all(4_600 < pairs[first, second] < 5_400 for first in (False, True) for second in (False, True))


def test_the_share_of_traces_that_others_began_is_opentelemetrys(spans: list[TraceSpan]) -> None:
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
    assert 20 < len(spans) < 80


def test_a_request_that_is_not_sampled_works_under_no_span(spans: list[TraceSpan]) -> None:
    always = tracing(spans)
    always.begin(line(), None)
    assert current_span() is not None
    always.begin(line(), caller_of(parent("0af7651916cd43dd8448eb211c80319c", "00")))
    assert current_span() is None


def test_what_is_done_under_a_span_ends_with_it_and_tells_of_errors(spans: list[TraceSpan]) -> None:
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
    assert found["inner"].failed
    assert found["left"].attributes == {"error.type": "CancelledError"}
    assert not found["work"].failed
    assert found["waited"].ended - found["waited"].began == 500_000_000
    root = found["GET /livez"]
    for name in ("inner", "left", "work", "waited"):
        above = found[name].parent
        assert above is not None
        assert above.span_id == root.context.span_id


def test_headers_carry_the_span_on(spans: list[TraceSpan]) -> None:
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


def test_a_span_is_exported_as_the_sdk_would_have_made_it(spans: list[TraceSpan]) -> None:
    theirs = InMemorySpanExporter()
    resource = Resource({"service.name": "test"})
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(theirs))
    tracer = provider.get_tracer("tandem", "1")
    caller = caller_of([*parent("0af7651916cd43dd8448eb211c80319c"), (b"tracestate", b"vendor=1")])
    assert caller is not None
    linked = TraceSpan(spans.append, "linked")
    told: dict[str, Any] = {"a": 1, "b": "text", "c": [1.5, 2.5], "d": True}
    above = set_span_in_context(NonRecordingSpan(caller.context()), Context())
    one = tracer.start_span("name", above, SpanKind.CLIENT, told, [Link(linked.context)], start_time=7)
    one.add_event("happened", timestamp=8)
    one.set_status(Status(StatusCode.ERROR))
    one.set_attribute("error.type", "unavailable")
    one.end(9)

    ours = TraceSpan(spans.append, "name", caller.context(), SpanKind.CLIENT, told, [Link(linked.context)], 7)
    ours.events.append(("happened", 8))
    ours.fail("unavailable")
    ours.end(9)
    (only,) = spans
    (their,) = theirs.get_finished_spans()
    made = finished(only, resource, InstrumentationScope("tandem", "1"))
    messages = [encode_spans([exported]).resource_spans[0].scope_spans[0].spans[0] for exported in (made, their)]
    assert messages[0].span_id != messages[1].span_id
    messages[0].span_id = messages[1].span_id
    assert messages[0] == messages[1]
