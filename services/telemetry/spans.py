"""One recorded span of a trace, what hangs below it, and how it crosses to another process.

OpenTelemetry's own notion of the current span costs several microseconds a use, and to begin and end a span of its SDK twenty.
Here the current one is a context variable that only a sampled request ever sets: whoever finds None there has nothing to do. And a
span is a plain record of what OpenTelemetry calls so (https://opentelemetry.io/docs/specs/otel/trace/api/#span): once it has ended,
`span_encoding.py` makes of it what the SDK would, and `span_export.py` gives it to the SDK's queue and sender.
"""

from __future__ import annotations

import random
import time
from contextvars import ContextVar
from typing import TYPE_CHECKING, Self, TypeVar

from opentelemetry.trace import Link, SpanContext, SpanKind, TraceFlags

from services.errors import ServingError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextvars import Token

    from opentelemetry.util.types import AttributeValue

    Attributes = Mapping[str, AttributeValue]
    Sink = Callable[["TraceSpan"], None]

Given = TypeVar("Given")
Outcome = TypeVar("Outcome")

_SAMPLED = TraceFlags(TraceFlags.SAMPLED)
_CURRENT: ContextVar[TraceSpan | None] = ContextVar("tandem_span", default=None)
current_span = _CURRENT.get
"""The span that this task works under; None unless the request is sampled."""


class TraceSpan:
    """A span under way. `end` must follow, and nothing after that."""

    __slots__ = (
        "_sink",
        "_token",
        "attributes",
        "began",
        "context",
        "ended",
        "events",
        "failed",
        "kind",
        "links",
        "name",
        "parent",
    )

    def __init__(
        self,
        sink: Sink,
        name: str,
        parent: SpanContext | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Attributes | None = None,
        links: Sequence[Link] = (),
        began: int | None = None,
    ) -> None:
        """Below `parent`, or the first of a trace; `sink` gets it when it has ended. Times are those of `time.time_ns`, by default now."""
        self._sink = sink
        self._token: Token[TraceSpan | None] | None = None
        self.name = name
        self.parent = parent
        self.kind = kind
        self.attributes: dict[str, AttributeValue] = dict(attributes) if attributes else {}
        self.links = links
        self.events: list[tuple[str, int]] = []
        """What has happened, and when."""
        self.failed = False
        self.began = time.time_ns() if began is None else began
        self.ended = 0
        if parent is None:
            self.context = SpanContext(_some(128), _some(64), is_remote=False, trace_flags=_SAMPLED)
        else:
            self.context = SpanContext(parent.trace_id, _some(64), False, _SAMPLED, parent.trace_state)

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
        linked = [Link(one.context) for one in links]
        return TraceSpan(self._sink, name, self.context, kind, attributes, linked, began)

    def past(
        self, name: str, seconds: float, attributes: Attributes | None = None, links: Sequence[TraceSpan] = ()
    ) -> None:
        """Note a span below this one that ends now, after so many seconds."""
        now = time.time_ns()
        self.child(name, attributes, links=links, began=now - int(seconds * 1e9)).end(now)

    def __enter__(self) -> Self:
        """From here on it is the current one, until the block ends, and with it the span."""
        self._token = make_current(self)
        return self

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if error is not None:
            self.fail(error.kind if isinstance(error, ServingError) else type(error).__name__)
        self.end()
        assert self._token is not None
        _CURRENT.reset(self._token)

    def timing(
        self, name: str, work: Callable[[Given], Outcome], attributes: Attributes | None = None
    ) -> Callable[[Given], Outcome]:
        """The same as `work`, in any thread, with a span below this one."""

        def timed(given: Given) -> Outcome:
            with self.child(name, attributes):
                return work(given)

        return timed

    def headers(self) -> dict[str, str]:
        """What tells another process of this span: `traceparent`, and `tracestate` where there is one."""
        state = self.tracestate
        return {"traceparent": self.traceparent, "tracestate": state} if state else {"traceparent": self.traceparent}

    def note(self, attributes: Attributes) -> None:
        """Add attributes."""
        self.attributes.update(attributes)

    def event(self, name: str) -> None:
        """Note that something has happened now."""
        self.events.append((name, time.time_ns()))

    def fail(self, kind: str) -> None:
        """Note what it failed for."""
        self.failed = True
        self.attributes["error.type"] = kind

    def end(self, at: int | None = None) -> None:
        """It is over, now or `at` a time of `time.time_ns`."""
        self.ended = time.time_ns() if at is None else at
        self._sink(self)

    @property
    def traceparent(self) -> str:
        """The span, as W3C Trace Context writes it."""
        return f"00-{self.context.trace_id:032x}-{self.context.span_id:016x}-01"

    @property
    def tracestate(self) -> str:
        """What the first caller says of the trace, as W3C Trace Context writes it; empty where that is nothing."""
        state = self.context.trace_state
        return state.to_header() if state else ""

    @property
    def trace_id(self) -> str:
        """The trace's id, as logs and headers write it."""
        return f"{self.context.trace_id:032x}"


def _some(bits: int) -> int:
    """A random id; zero would be none."""
    return random.getrandbits(bits) or 1


def make_current(span: TraceSpan | None) -> Token[TraceSpan | None]:
    """From here on this task works under `span`."""
    return _CURRENT.set(span)
