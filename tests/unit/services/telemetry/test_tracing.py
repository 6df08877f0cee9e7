from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from typing import Any

import pytest
from opentelemetry.sdk.trace.sampling import Decision, TraceIdRatioBased

from services.errors import Unavailable
from services.settings.telemetry import TracingSettings
from services.telemetry.access_log import AccessLine
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
    with span.child(name) as inner:
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
    joined = always.join("other process", span.traceparent, span.tracestate, 7)
    assert joined is not None
    joined.end()
    assert always.join("nobody's", "nonsense", "", 7) is None
    assert joined.began == 7
    above = named(spans)["other process"].parent
    assert above is not None
    assert f"{above.span_id:016x}" == headers["traceparent"].split("-")[2]
