"""Which requests are traced, and the span that each of them begins and ends with."""

from __future__ import annotations

import math
import random
from functools import partial
from typing import TYPE_CHECKING

from services.telemetry.spans import REQUEST_ID, TraceSpan, make_current
from services.telemetry.trace_context import PARENT, STATE, caller_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.util.types import AttributeValue

    from services.settings.telemetry import TracingSettings
    from services.telemetry.access_log import AccessLine
    from services.telemetry.spans import Sink
    from services.telemetry.trace_context import Caller

_FAILED = 500
_ID_SPACE = 2**64
NEVER = 2**62
"""A number of requests that no process lives to see."""


class Tracing:
    """Decides about each request of one process, and keeps the spans of those under way that are sampled."""

    def __init__(self, settings: TracingSettings, sink: Sink, close: Callable[[], None]) -> None:
        """`sink` gets each span that has ended; `close` sends what is left when the process ends."""
        self._ratio = settings.sample_ratio
        self._log_passed = math.log1p(-self._ratio) if 0 < self._ratio < 1 else 0.0
        """Logarithm of the share that is not sampled."""
        self._follows = settings.follow_caller
        self._sink = sink
        self._open: dict[int, TraceSpan] = {}
        self.close = close

    def begin(self, line: AccessLine, caller: Caller | None, *, is_sampled: bool) -> None:
        """A request has come in, which belongs to the span of `caller`: from here on its task works under its own, where it is sampled,
        as `is_sampled` says of one that nobody else traces.
        """
        if caller is not None:
            line.trace_id = caller.trace_id
            is_sampled = self._samples(caller)
        if not is_sampled:
            return
        grpc = line.method == "GRPC"
        name = line.route[1:] if grpc else f"{line.method} {line.route}"
        span = self._start(name, caller)
        line.trace_id = f"{span.trace_id:032x}"
        self._open[id(line)] = span
        make_current(span)

    def end(self, line: AccessLine) -> None:
        """The request of `line` has been answered."""
        span = self._open.pop(id(line), None) if self._open else None
        if span is None:
            return
        make_current(None)
        span.describe = partial(_attributes, line)
        if line.status >= _FAILED:
            span.fail(line.error or str(line.status))
        span.end()

    def join(self, name: str, traceparent: str, tracestate: str, began: int) -> TraceSpan | None:
        """A span below the gateway's, which `TraceSpan.traceparent` and `trace_state` name, that began at a time of `time.time_ns`; None when there is none."""
        caller = caller_of(((PARENT, traceparent.encode()), (STATE, tracestate.encode())))
        return self._start(name, caller, began) if caller is not None and caller.sampled else None

    def gap(self) -> int:
        """How many requests pass before the next that is sampled: as many as if each were drawn by itself, for one draw.

        A geometric distribution, by inversion.
        """
        if self._ratio >= 1:
            return 0
        if self._ratio <= 0:
            return NEVER
        gap = math.log(1 - random.random()) / self._log_passed  # noqa: S311 - a sample, no secret
        return int(min(gap, NEVER))

    def _samples(self, caller: Caller) -> bool:
        if not caller.sampled:
            return False
        # The same for every span of a trace, wherever it is asked: as OpenTelemetry's TraceIdRatioBased.
        return self._follows or int(caller.trace_id[16:], 16) < self._ratio * _ID_SPACE

    def _start(self, name: str, caller: Caller | None, began: int | None = None) -> TraceSpan:
        return TraceSpan.first(self._sink, name, caller.span() if caller is not None else None, began)


def _attributes(line: AccessLine) -> dict[str, AttributeValue]:
    """What a request's span says, under OpenTelemetry's names where there is one."""
    found: dict[str, AttributeValue] = {REQUEST_ID: line.request_id}
    if line.method == "GRPC":
        service, _, method = line.route[1:].partition("/")
        found |= {"rpc.system": "grpc", "rpc.service": service, "rpc.method": method}
    else:
        found |= {
            "http.request.method": line.method,
            "http.route": line.route,
            "http.response.status_code": line.status,
            "url.scheme": "http",
        }
    if line.model:
        found["tandem.model.name"] = line.model
    if line.version:
        found["tandem.model.version"] = line.version
    if line.rows:
        found["tandem.rows"] = line.rows
    if line.key:
        found["tandem.key.name"] = line.key
    if line.client_gone:
        found["tandem.client_gone"] = True
    if line.error:
        found["error.type"] = line.error
    return found


def create_tracing(settings: TracingSettings, service: str) -> Tracing | None:
    """Tracing as `settings` say; None, and nothing imported for it, where no collector is named. None also where OpenTelemetry is off."""
    if settings.endpoint is None:
        return None
    from services.telemetry.span_export import SpanSender, is_off

    if is_off():
        return None
    sender = SpanSender(settings, service)
    return Tracing(settings, sender.take, sender.close)
