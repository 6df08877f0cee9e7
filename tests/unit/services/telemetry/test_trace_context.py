from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.trace import get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from services.telemetry.trace_context import caller_of

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


def headers(parent: str, *states: str) -> list[tuple[bytes, bytes]]:
    return [
        (b"host", b"x"),
        (b"traceparent", parent.encode("latin-1")),
        *((b"tracestate", one.encode()) for one in states),
    ]


@pytest.mark.parametrize(("flags", "sampled"), [("00", False), ("01", True), ("02", False), ("03", True), ("ff", True)])
def test_the_caller_and_its_decision_are_read(flags: str, sampled: bool) -> None:
    caller = caller_of(headers(f"00-{TRACE}-{SPAN}-{flags}", "a=1", "b=2"))
    assert caller is not None
    assert (caller.trace_id, caller.span_id, caller.sampled, caller.state) == (TRACE, SPAN, sampled, b"a=1,b=2")
    parent = caller.span()
    assert f"{parent.trace_id:032x}-{parent.span_id:016x}" == f"{TRACE}-{SPAN}"
    assert parent.trace_state == "a=1,b=2"


@pytest.mark.parametrize(
    "parent",
    [
        "",
        "00",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"ff-{TRACE}-{SPAN}-01",
        f" 00-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-1",
    ],
)
def test_what_cannot_be_read_names_no_caller(parent: str) -> None:
    assert caller_of(headers(parent)) is None


def test_a_later_version_is_read_as_far_as_it_is_known() -> None:
    caller = caller_of(headers(f"42-{TRACE}-{SPAN}-01-more"))
    assert caller is not None
    assert caller.trace_id == TRACE


def test_two_parents_are_none_and_a_long_state_is_left_out() -> None:
    parent = f"00-{TRACE}-{SPAN}-01"
    assert caller_of(headers(parent) + headers(parent)) is None
    assert caller_of([]) is None
    caller = caller_of(headers(parent, "a=" + "x" * 600))
    assert caller is not None
    assert caller.state == b""


@given(st.text(alphabet="0123456789abcdef-", max_size=60))
def test_whatever_comes_is_read_as_opentelemetry_reads_it(parent: str) -> None:
    caller = caller_of(headers(parent))
    theirs = get_current_span(TraceContextTextMapPropagator().extract({"traceparent": parent})).get_span_context()
    assert (caller is not None) == theirs.is_valid
