from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from typing import Any

import pytest
from opentelemetry.sdk.trace.sampling import Decision, TraceIdRatioBased
from prometheus_client import CollectorRegistry

from services.errors import Unavailable
from services.settings.telemetry import TracingSettings
from services.telemetry.access_log import AccessLine
from services.telemetry.recorder import Telemetry
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
    with span.child(name, {}) as inner:
        assert current_span() is inner
        raise error


def telemetry(tracing: Tracing) -> Telemetry:
    return Telemetry(access_log=False, tracing=tracing, registry=CollectorRegistry())


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
    some = telemetry(tracing(spans, sample_ratio=share))
    for _ in range(20_000):
        one = line()
        began = some.begin(one)
        assert bool(one.trace_id) == (current_span() is not None)
        some.end(began, one)
        assert current_span() is None
    assert least <= len(spans) <= most


def test_requests_are_sampled_whatever_became_of_those_before(spans: list[TraceSpan]) -> None:
    half = telemetry(tracing(spans, sample_ratio=0.5))
    drawn = []
    for _ in range(20_000):
        one = line()
        began = half.begin(one)
        drawn.append(bool(one.trace_id))
        half.end(began, one)
    pairs = Counter(itertools.pairwise(drawn))
    assert all(4_600 < pairs[first, second] < 5_400 for first in (False, True) for second in (False, True))


def test_what_callers_decide_changes_nothing_for_the_others(spans: list[TraceSpan]) -> None:
    some = telemetry(tracing(spans, sample_ratio=0.25))
    callers = itertools.cycle(
        (None, *(caller_of(parent("0af7651916cd43dd8448eb211c80319c", flags)) for flags in ("00", "01")))
    )
    counts: Counter[tuple[str, bool]] = Counter()
    for caller in itertools.islice(callers, 30_000):
        one = line()
        before = len(spans)
        some.end(some.begin(one, caller), one)
        counts["nobody's" if caller is None else f"{caller.sampled}", len(spans) > before] += 1
    assert (counts["True", True], counts["False", True]) == (10_000, 0)
    assert 2_300 < counts["nobody's", True] < 2_700


def test_the_share_of_traces_that_others_began_is_opentelemetrys(spans: list[TraceSpan]) -> None:
    own = tracing(spans, sample_ratio=0.25, follow_caller=False)
    theirs = TraceIdRatioBased(0.25)
    for number in range(1, 200):
        trace_id = f"{number * 0x0123456789ABCDEF0123456789ABCDEF % 2**128:032x}"
        one = line()
        own.begin(one, caller_of(parent(trace_id)), is_sampled=True)
        assert (current_span() is not None) == (
            theirs.should_sample(None, int(trace_id, 16), "").decision is Decision.RECORD_AND_SAMPLE
        )
        own.end(one)
    assert 20 < len(spans) < 80


def test_what_is_done_under_a_span_ends_with_it_and_tells_of_errors(spans: list[TraceSpan]) -> None:
    always = tracing(spans)
    one = line()
    always.begin(one, None, is_sampled=True)
    span = current_span()
    assert span is not None
    for name, error in (("inner", Unavailable("Gone.")), ("left", asyncio.CancelledError())):
        with pytest.raises(type(error)):
            fail_under(span, name, error)
    assert current_span() is span
    assert span.timing("work", str, {})(1) == "1"
    span.past("waited", 0.5, {})
    always.end(one)
    found = named(spans)
    assert found["inner"].attributes == {"error.type": "unavailable"}
    assert found["inner"].failed
    assert found["left"].attributes == {"error.type": "CancelledError"}
    assert not found["work"].failed
    assert found["waited"].ended - found["waited"].began == 500_000_000
    root = found["GET /livez"]
    for name in ("inner", "left", "work", "waited"):
        assert found[name].parent_id == root.span_id


def test_headers_carry_the_span_on(spans: list[TraceSpan]) -> None:
    always = tracing(spans)
    trace_id = "0af7651916cd43dd8448eb211c80319c"
    always.begin(line(), caller_of([*parent(trace_id), (b"tracestate", b"vendor=1")]), is_sampled=True)
    span = current_span()
    assert span is not None
    headers = span.headers()
    assert headers["traceparent"].startswith(f"00-{trace_id}-")
    assert headers["traceparent"].endswith("-01")
    assert headers["tracestate"] == "vendor=1"
    joined = always.join("other process", span.traceparent, span.trace_state, 7)
    assert joined is not None
    joined.end()
    assert always.join("nobody's", "nonsense", "", 7) is None
    assert joined.began == 7
    assert f"{joined.parent_id:016x}" == headers["traceparent"].split("-")[2]
    assert joined.has_remote_parent
