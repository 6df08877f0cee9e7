"""What we encode ourselves is what OpenTelemetry's SDK would have sent, byte for byte where order allows: field by field."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    TraceState,
    set_span_in_context,
)

from services.telemetry import span_encoding
from services.telemetry.span_encoding import SpanEncoder
from services.telemetry.spans import REQUEST_ID, TraceSpan
from services.telemetry.trace_context import Caller, RemoteSpan

CALLER = Caller("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", True, b"vendor=1").span()
PLAIN = st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text(max_size=70)
VALUES = PLAIN | st.lists(st.text(max_size=3), max_size=3) | st.lists(st.floats(allow_nan=False), max_size=3)
OTHERS = st.dictionaries(st.text(min_size=1, max_size=5), VALUES, max_size=5)
ATTRIBUTES = OTHERS | st.builds(lambda value, others: {REQUEST_ID: value, **others}, st.text(max_size=300), OTHERS)
ENCODER = SpanEncoder({}, "tandem", "1")


def ended(above: RemoteSpan | None = None, began: int = 7, **said: Any) -> TraceSpan:
    span = TraceSpan.first(lambda _: None, "name", above, began)
    for name, value in said.items():
        setattr(span, name, value)
    span.ended = 9
    return span


def of_the_sdk(resource: Resource, attributes: dict[str, Any], links: list[Link], *, failed: bool) -> ReadableSpan:
    """A span below `CALLER` that began at 7, met an event at 8 and ended at 9."""
    kept = InMemorySpanExporter()
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(kept))
    caller = SpanContext(CALLER.trace_id, CALLER.span_id, True, TraceFlags(1), TraceState.from_header(["vendor=1"]))
    above = set_span_in_context(NonRecordingSpan(caller), Context())
    span = provider.get_tracer("tandem", "1").start_span("name", above, SpanKind.CLIENT, attributes, links, 7)
    span.add_event("happened", timestamp=8)
    if failed:
        span.set_status(Status(StatusCode.ERROR))
        span.set_attribute("error.type", "unavailable")
    span.end(9)
    (only,) = kept.get_finished_spans()
    return only


@given(ATTRIBUTES, st.integers(0, 3), st.booleans())
def test_a_request_is_what_the_sdk_would_send(attributes: dict[str, Any], links: int, failed: bool) -> None:
    resource = Resource({"service.name": "test", "process.pid": 7})
    linked = [ended(above=CALLER if at % 2 else None) for at in range(links)]
    contexts = [SpanContext(one.trace_id, one.span_id, is_remote=False) for one in linked]
    theirs = of_the_sdk(resource, attributes, [Link(one) for one in contexts], failed=failed)
    ours = ended(CALLER, attributes=dict(attributes), links=linked, events=[("happened", 8)], kind=SpanKind.CLIENT)
    ours.span_id = theirs.context.span_id
    if failed:
        ours.fail("unavailable")
    (sent,) = SpanEncoder(resource.attributes, "tandem", "1").requests([ours, ours])
    assert ExportTraceServiceRequest.FromString(sent) == encode_spans([theirs, theirs])


def test_equal_values_of_different_types_are_not_taken_for_each_other() -> None:
    for value, kind in ((1, "int_value"), (True, "bool_value"), (1.0, "double_value"), ("1", "string_value")) * 2:
        (found,) = Span.FromString(ENCODER.span(ended(attributes={"a": value}))).attributes
        assert found.value.WhichOneof("value") == kind


@pytest.mark.parametrize("value", [2**63, "\ud800", "\ud800" * 100, [2**70], object(), [object()], None])
def test_what_no_trace_can_hold_is_left_out_alone(value: Any) -> None:
    found = Span.FromString(ENCODER.span(ended(attributes={"a": 1, "b": value, "c": 2})))
    assert [one.key for one in found.attributes] == ["a", "c"]


def test_what_a_span_says_when_it_is_sent_comes_before_what_was_noted_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    span = ended(attributes={"b": 2}, describe=lambda: {"a": 1, "b": 1})
    found = Span.FromString(ENCODER.span(span))
    assert [(one.key, one.value.int_value) for one in found.attributes] == [("a", 1), ("b", 2)]
    monkeypatch.setenv("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "1")
    assert Span.FromString(SpanEncoder({}, "tandem", "1").span(span)).dropped_attributes_count == 1


def test_more_than_a_span_may_say_is_left_out_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "2")
    monkeypatch.setenv("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", "3")
    span = ended(attributes={"a": 1, "b": 2, "c": "long text"}, links=[ended()] * 1030)
    found = Span.FromString(SpanEncoder({}, "tandem", "1").span(span))
    assert found.dropped_attributes_count == 1
    assert [one.value.string_value for one in found.attributes if one.key == "c"] == ["lon"]
    assert (len(found.links), found.dropped_links_count) == (1024, 6)


def test_a_span_that_cannot_be_encoded_is_lost_alone(caplog: pytest.LogCaptureFixture) -> None:
    (sent,) = ENCODER.requests([ended(), ended(began=-1), ended()])
    (of_process,) = ExportTraceServiceRequest.FromString(sent).resource_spans
    assert len(of_process.scope_spans[0].spans) == 2
    assert "A span cannot be encoded" in caplog.text


def test_what_a_process_cannot_say_of_itself_is_left_out() -> None:
    encoder = SpanEncoder({"team": "\udcff", "service.name": "test"}, "tandem", "1")
    (sent,) = encoder.requests([ended()])
    (of_process,) = ExportTraceServiceRequest.FromString(sent).resource_spans
    assert [one.key for one in of_process.resource.attributes] == ["service.name"]


def test_spans_that_say_much_go_in_several_requests() -> None:
    spans = [
        ended(attributes={"text": letter * size * 10**6}) for letter, size in zip("abcd", (1, 2, 5, 1), strict=True)
    ]
    sent = [ExportTraceServiceRequest.FromString(one) for one in ENCODER.requests(spans)]
    found = [
        [len(one.attributes[0].value.string_value) for one in each.resource_spans[0].scope_spans[0].spans]
        for each in sent
    ]
    assert found == [[10**6, 2 * 10**6], [5 * 10**6], [10**6]]
    assert {each.resource_spans[0].scope_spans[0].scope.name for each in sent} == {"tandem"}
    assert not [*ENCODER.requests([])]


def test_long_texts_are_not_remembered() -> None:
    before = span_encoding._known.cache_info().currsize
    ENCODER.span(ended(attributes={"gen_ai.input.messages": "x" * 65}))
    assert span_encoding._known.cache_info().currsize == before
