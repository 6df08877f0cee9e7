from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from prometheus_client import CollectorRegistry

from services.gateway.control.llm_span import LLMSpan
from services.gateway.control.work import NO_LINE
from services.telemetry.metrics import Metrics
from services.telemetry.span_encoding import SpanEncoder
from services.telemetry.spans import TraceSpan

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

METRICS = Metrics(CollectorRegistry())
ENCODER = SpanEncoder({}, "test", "1")


def spanned(body: bytes, events: Sequence[bytes] = (), *, captures: bool = False, whole: bytes = b"") -> TraceSpan:
    """The span of one request, all of which can be exported."""
    kept: list[TraceSpan] = []
    span = LLMSpan(TraceSpan.first(kept.append, "request"), "chat", "mini", body, captures=captures)
    span.events(events)
    if whole:
        span.answered(whole)
    generation = METRICS.generation("chat", "mini", NO_LINE)
    generation.complete = True
    span.end(generation)
    (only,) = kept
    exported = Span.FromString(ENCODER.span(only))
    assert {one.key for one in exported.attributes} == only.attributes.keys()
    return only


def attributes(span: TraceSpan) -> Mapping[str, Any]:
    return span.attributes


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
NAMES = ["max_tokens", "temperature", "top_p", "n", "seed", "stream", "messages", "prompt", "input"]
ANSWERS = ["id", "model", "choices", "usage"]


@given(
    st.dictionaries(st.sampled_from(NAMES), VALUES), st.dictionaries(st.sampled_from(ANSWERS), VALUES), st.booleans()
)
def test_whatever_is_asked_and_answered_can_be_exported(asked: Any, answered: Any, captures: bool) -> None:
    event = json.dumps(answered).encode()
    spanned(json.dumps(asked).encode(), [b"data: " + event, event, b"data: {", b""], captures=captures, whole=event)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"text"', b"\xff", b"[" * 5000])
def test_a_body_that_cannot_be_read_says_nothing(body: bytes) -> None:
    found = attributes(spanned(body, captures=True))
    assert found == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "vllm",
        "gen_ai.request.model": "mini",
    }


def test_a_number_that_no_trace_can_hold_is_left_out() -> None:
    found = attributes(spanned(b'{"seed": 1180591620717411303424, "max_tokens": 3, "n": 2}'))
    assert "gen_ai.request.seed" not in found
    assert found["gen_ai.request.max_tokens"] == 3
    assert found["gen_ai.request.choice.count"] == 2


def test_content_is_bounded_and_of_every_form() -> None:
    parts = [{"type": "text", "text": "look"}, {"type": "image_url", "image_url": {"url": "data:..."}}]
    messages = [{"role": "system", "content": "s" * 100_000}, {"role": "user", "content": parts}]
    events = [
        b'data: {"id":"1","model":"mini","choices":[{"delta":{"content":"Hel"},"finish_reason":null}]}',
        b'data: {"id":"1","model":"mini","choices":[{"delta":{"content":"lo"},"finish_reason": "stop"}]}',
        b"data: [DONE]",
    ]
    found = attributes(spanned(json.dumps({"messages": messages}).encode(), events, captures=True))
    asked = json.loads(found["gen_ai.input.messages"])
    assert [len(one["parts"][0]["content"]) for one in asked] == [65_536, 4]
    (said,) = json.loads(found["gen_ai.output.messages"])
    assert said["parts"][0]["content"] == "Hello"
    assert said["finish_reason"] == "stop"
    assert found["gen_ai.response.finish_reasons"] == ["stop"]
