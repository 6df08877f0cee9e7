"""One recorded span of a trace, what hangs below it, and how it crosses to another process.

OpenTelemetry's own notion of the current span costs several microseconds a use, and to begin and end a span of its SDK twenty.
Here the current one is a context variable that only a sampled request ever sets: whoever finds None there has nothing to do. And a
span is a plain record of what OpenTelemetry calls so (https://opentelemetry.io/docs/specs/otel/trace/api/#span): once it has ended,
`span_export.py` keeps it for the SDK's sender, and `span_encoding.py` makes of it what the SDK would.
"""

from __future__ import annotations

import time
from contextvars import ContextVar
from random import getrandbits
from typing import TYPE_CHECKING, Self, TypeVar

import msgspec
from opentelemetry.trace import SpanKind

from services.errors import ServingError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextvars import Token

    from opentelemetry.util.types import AttributeValue

    from services.telemetry.trace_context import RemoteSpan

    Attributes = dict[str, AttributeValue]
    Sink = Callable[["TraceSpan"], None]

Given = TypeVar("Given")
Outcome = TypeVar("Outcome")

INTERNAL, SERVER, CLIENT = SpanKind.INTERNAL, SpanKind.SERVER, SpanKind.CLIENT
"""By names of this module: to look into an enum costs nine times as much."""
REQUEST_ID = "tandem.request.id"
"""The one attribute that hardly any two spans have alike."""
_CURRENT: ContextVar[TraceSpan | None] = ContextVar("tandem_span", default=None)
current_span = _CURRENT.get
"""The span that this task works under; None unless the request is sampled."""


class TraceSpan(msgspec.Struct, eq=False):
    """A span under way. `end` must follow, and nothing after that. Times are those of `time.time_ns`."""

    sink: Sink
    """Gets the span when it has ended."""
    name: str
    trace_id: int
    span_id: int
    """Random, as the trace's; zero would be none."""
    parent_id: int
    """Zero of the first in its trace."""
    trace_state: str
    """What others must know of the trace, as W3C Trace Context writes it."""
    kind: SpanKind
    attributes: Attributes
    links: Sequence[TraceSpan]
    began: int
    ended: int = 0
    has_remote_parent: bool = False
    failed: bool = False
    events: Sequence[tuple[str, int]] = ()
    """What has happened, and when."""
    describe: Callable[[], Attributes] | None = None
    """Says more attributes when it is sent, in the sender's thread; where both say one, `attributes` do."""
    token: Token[TraceSpan | None] | None = None
    """What makes the one before it the current one again."""

    @classmethod
    def first(cls, sink: Sink, name: str, above: RemoteSpan | None = None, began: int | None = None) -> TraceSpan:
        """The first span of a trace in this process, below `above` where another has begun it; from now on unless it says when it `began`."""
        trace_id, parent_id, state = above or (getrandbits(128) or 1, 0, "")
        if began is None:
            began = time.time_ns()
        is_remote = above is not None
        return cls(sink, name, trace_id, getrandbits(64) or 1, parent_id, state, SERVER, {}, (), began, 0, is_remote)

    def child(
        self,
        name: str,
        attributes: Attributes,
        links: Sequence[TraceSpan] = (),
        kind: SpanKind = INTERNAL,
    ) -> TraceSpan:
        """A span below this one that begins now, linked to `links`. It keeps `attributes`, and adds to them."""
        return TraceSpan(
            self.sink,
            name,
            self.trace_id,
            getrandbits(64) or 1,
            self.span_id,
            self.trace_state,
            kind,
            attributes,
            links,
            time.time_ns(),
        )

    def past(self, name: str, seconds: float, attributes: Attributes, links: Sequence[TraceSpan] = ()) -> None:
        """Note a span below this one that ends now, after so many seconds."""
        span = self.child(name, attributes, links)
        span.ended = span.began
        span.began -= int(seconds * 1e9)
        self.sink(span)

    def __enter__(self) -> Self:
        """From here on it is the current one, until the block ends, and with it the span."""
        self.token = _CURRENT.set(self)
        return self

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if error is not None:
            self.fail_with(error)
        self.end()
        assert self.token is not None
        _CURRENT.reset(self.token)
        self.token = None

    def timing(self, name: str, work: Callable[[Given], Outcome], attributes: Attributes) -> Callable[[Given], Outcome]:
        """The same as `work`, in any thread, with a span below this one."""

        def timed(given: Given) -> Outcome:
            with self.child(name, dict(attributes)):
                return work(given)

        return timed

    def headers(self) -> dict[str, str]:
        """What tells another process of this span: `traceparent`, and `tracestate` where there is one."""
        state = self.trace_state
        return {"traceparent": self.traceparent, "tracestate": state} if state else {"traceparent": self.traceparent}

    def note(self, attributes: Attributes) -> None:
        """Add attributes."""
        self.attributes.update(attributes)

    def event(self, name: str) -> None:
        """Note that something has happened now."""
        self.events = (*self.events, (name, time.time_ns()))

    def fail(self, kind: str) -> None:
        """Note what it failed for."""
        self.failed = True
        self.attributes["error.type"] = kind

    def fail_with(self, error: BaseException) -> None:
        """Note that it failed with `error`."""
        self.fail(error.kind if isinstance(error, ServingError) else type(error).__name__)

    def end(self) -> None:
        """It is over."""
        self.ended = time.time_ns()
        self.sink(self)

    @property
    def traceparent(self) -> str:
        """The span, as W3C Trace Context writes it."""
        return f"00-{self.trace_id:032x}-{self.span_id:016x}-01"


def make_current(span: TraceSpan | None) -> Token[TraceSpan | None]:
    """From here on this task works under `span`."""
    return _CURRENT.set(span)
