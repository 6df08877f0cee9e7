"""Sends spans to a collector by OTLP, as protobuf over HTTP, from a thread of its own.

Ended spans wait in a bounded queue; what does not fit is dropped. A collector that is slow, full of errors or gone
therefore costs spans and never a request's time.
"""

from __future__ import annotations

import logging
import os
import threading
from typing import TYPE_CHECKING

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import NoOpTracer, Status, StatusCode

from services.runtime import VERSION

if TYPE_CHECKING:
    from collections.abc import Sequence

    from services.settings.telemetry import TracingSettings
    from services.telemetry.spans import TraceSpan

logger = logging.getLogger("tandem.tracing")

_MOST_TOGETHER = 512
_CLOSE_SECONDS = 2.0
_MOST_LINKS = 1024
_FAILED = Status(StatusCode.ERROR)
_UNSET = Status(StatusCode.UNSET)


def is_off() -> bool:
    """Whether OpenTelemetry's SDK is told to do nothing, by `OTEL_SDK_DISABLED`."""
    return isinstance(TracerProvider(shutdown_on_exit=False).get_tracer("tandem"), NoOpTracer)


class SpanSender:
    """The spans of one process, on their way to the collector."""

    def __init__(self, settings: TracingSettings, service: str) -> None:
        """`settings.endpoint` must be given; `service` is what traces call this process."""
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)  # it tells of each span lost; we tell once
        exporter = OTLPSpanExporter(
            settings.traces_url,
            headers={name: value.get_secret_value() for name, value in settings.headers.items()},
            timeout=settings.timeout,
        )
        self._resource = Resource.create(
            {
                "service.name": service,
                "service.namespace": "tandem",
                "service.version": VERSION,
                "service.instance.id": str(os.getpid()),
            }
        )
        self._scope = InstrumentationScope("tandem", VERSION)
        limits = SpanLimits()  # those of OpenTelemetry's environment variables, where there are any
        self._most, self._longest = limits.max_span_attributes, limits.max_span_attribute_length
        self._waiting = BatchSpanProcessor(
            _Telling(exporter),
            max_queue_size=settings.queue_size,
            schedule_delay_millis=settings.export_interval * 1000,
            max_export_batch_size=min(_MOST_TOGETHER, settings.queue_size),
        )

    def take(self, span: TraceSpan) -> None:
        """Have a span sent that has ended."""
        if self._longest is not None or (self._most is not None and len(span.attributes) > self._most):
            span.attributes = dict(BoundedAttributes(self._most, span.attributes, max_value_len=self._longest))
        self._waiting.on_end(finished(span, self._resource, self._scope))

    def close(self) -> None:
        """Send what is left, as far as that takes no longer than two seconds."""
        closing = threading.Thread(target=self._waiting.shutdown, name="spans-closing", daemon=True)
        closing.start()
        closing.join(_CLOSE_SECONDS)


def finished(span: TraceSpan, resource: Resource, scope: InstrumentationScope) -> ReadableSpan:
    """A span as the SDK's tracer would have made it."""
    return ReadableSpan(
        span.name,
        span.context,
        span.parent,
        resource,
        span.attributes,
        [Event(name, timestamp=at) for name, at in span.events],
        span.links[:_MOST_LINKS],
        span.kind,
        status=_FAILED if span.failed else _UNSET,
        start_time=span.began,
        end_time=span.ended,
        instrumentation_scope=scope,
    )


class _Telling(SpanExporter):
    """Says once that spans are lost, and once that they are not any more."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self._failing = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = self._exporter.export(spans)
        failed = result is not SpanExportResult.SUCCESS
        if failed and not self._failing:
            logger.warning("Spans cannot be sent to the collector and are lost; requests go on.")
        elif self._failing and not failed:
            logger.warning("Spans can be sent to the collector again.")
        self._failing = failed
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()
