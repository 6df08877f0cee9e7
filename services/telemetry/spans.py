"""One recorded span of a trace, what hangs below it, and how it crosses to another process.

OpenTelemetry's own notion of the current span costs several microseconds a use. Here it is a context variable that only a
sampled request ever sets: whoever finds None there has nothing to do.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from contextvars import ContextVar, Token
from typing import TYPE_CHECKING, TypeVar

from opentelemetry.context import Context
from opentelemetry.trace import Link, SpanKind, Status, StatusCode, set_span_in_context

from services.errors import ServingError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from opentelemetry.trace import Span, Tracer
    from opentelemetry.util.types import AttributeValue

    Attributes = Mapping[str, AttributeValue]

Given = TypeVar("Given")
Outcome = TypeVar("Outcome")

_NOWHERE = Context()
_CURRENT: ContextVar[TraceSpan | None] = ContextVar("tandem_span", default=None)
current_span = _CURRENT.get
"""The span that this task works under; None unless the request is sampled."""


class TraceSpan:
    """A span under way. `end` must follow."""

    __slots__ = ("_span", "_tracer")

    def __init__(self, tracer: Tracer, span: Span) -> None:
        self._tracer = tracer
        self._span = span

    def child(
        self,
        name: str,
        attributes: Attributes | None = None,
        *,
        kind: SpanKind = SpanKind.INTERNAL,
        links: Sequence[TraceSpan] = (),
        began: int | None = None,
    ) -> TraceSpan:
        """A span below this one, linked to `links`; `began` is a time of `time.time_ns`, by default now."""
        context = set_span_in_context(self._span, _NOWHERE)
        linked = [one.link() for one in links]
        return TraceSpan(self._tracer, self._tracer.start_span(name, context, kind, attributes, linked, began))

    def past(
        self, name: str, seconds: float, attributes: Attributes | None = None, links: Sequence[TraceSpan] = ()
    ) -> None:
        """Note a span below this one that ends now, after so many seconds."""
        now = time.time_ns()
        self.child(name, attributes, links=links, began=now - int(seconds * 1e9)).end(now)

    @contextmanager
    def under(
        self, name: str, attributes: Attributes | None = None, *, kind: SpanKind = SpanKind.INTERNAL
    ) -> Iterator[TraceSpan]:
        """A span below this one, for what is done here; it is the current one meanwhile."""
        span = self.child(name, attributes, kind=kind)
        token = make_current(span)
        try:
            yield span
        except BaseException as error:
            span.fail(error.kind if isinstance(error, ServingError) else type(error).__name__)
            raise
        finally:
            _CURRENT.reset(token)
            span.end()

    def timing(
        self, name: str, work: Callable[[Given], Outcome], attributes: Attributes | None = None
    ) -> Callable[[Given], Outcome]:
        """The same as `work`, in any thread, with a span below this one."""

        def timed(given: Given) -> Outcome:
            with self.under(name, attributes):
                return work(given)

        return timed

    def link(self) -> Link:
        """What points at this span from another trace, or from elsewhere in its own."""
        return Link(self._span.get_span_context())

    def headers(self) -> dict[str, str]:
        """What tells another process of this span: `traceparent`, and `tracestate` where there is one."""
        context = self._span.get_span_context()
        headers = {"traceparent": f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags & 1:02x}"}
        if context.trace_state:
            headers["tracestate"] = context.trace_state.to_header()
        return headers

    def note(self, attributes: Attributes) -> None:
        """Add attributes."""
        self._span.set_attributes(attributes)

    def event(self, name: str) -> None:
        """Note that something has happened now."""
        self._span.add_event(name)

    def fail(self, kind: str) -> None:
        """Note what it failed for."""
        self._span.set_status(Status(StatusCode.ERROR))
        self._span.set_attribute("error.type", kind)

    def end(self, at: int | None = None) -> None:
        """It is over, now or `at` a time of `time.time_ns`."""
        self._span.end(at)

    @property
    def trace_id(self) -> str:
        """The trace's id, as logs and headers write it."""
        return f"{self._span.get_span_context().trace_id:032x}"


def make_current(span: TraceSpan | None) -> Token[TraceSpan | None]:
    """From here on this task works under `span`."""
    return _CURRENT.set(span)
