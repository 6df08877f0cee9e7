"""Sends spans to a collector by OTLP, as protobuf over HTTP, from a thread of its own.

Ended spans wait in a bounded queue; what does not fit is dropped. A collector that is slow, full of errors or gone
therefore costs spans and never a request's time.
"""

from __future__ import annotations

import logging
import os
import threading
from typing import TYPE_CHECKING, cast

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExportResult
from opentelemetry.trace import NoOpTracer

from services.runtime import VERSION
from services.telemetry.span_encoding import SpanEncoder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from services.settings.telemetry import TracingSettings
    from services.telemetry.spans import TraceSpan

logger = logging.getLogger("tandem.tracing")

_MOST_TOGETHER = 1024
"""Spans of an export, which costs as much as to encode two hundred of them."""
_CLOSE_SECONDS = 2.0


def is_off() -> bool:
    """Whether OpenTelemetry's SDK is told to do nothing, by `OTEL_SDK_DISABLED`."""
    return isinstance(TracerProvider(shutdown_on_exit=False).get_tracer("tandem"), NoOpTracer)


class SpanSender:
    """The spans of one process, on their way to the collector."""

    def __init__(self, settings: TracingSettings, service: str) -> None:
        """`settings.endpoint` must be given; `service` is what traces call this process."""
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)  # it tells of each span lost; we tell once
        resource = Resource.create(
            {
                "service.name": service,
                "service.namespace": "tandem",
                "service.version": VERSION,
                "service.instance.id": str(os.getpid()),
            }
        )
        self._waiting = BatchSpanProcessor(
            SpanExporter(settings, SpanEncoder(resource.attributes, "tandem", VERSION)),
            max_queue_size=settings.queue_size,
            schedule_delay_millis=settings.export_interval * 1000,
            max_export_batch_size=min(_MOST_TOGETHER, settings.queue_size),
        )

    def take(self, span: TraceSpan) -> None:
        """Have a span sent that has ended."""
        self._waiting.on_end(cast("ReadableSpan", span))  # the queue looks at its context alone

    def close(self) -> None:
        """Send what is left, as far as that takes no longer than two seconds."""
        closing = threading.Thread(target=self._waiting.shutdown, name="spans-closing", daemon=True)
        closing.start()
        closing.join(_CLOSE_SECONDS)


class SpanExporter(OTLPSpanExporter):
    """Encodes our spans instead of the SDK's. Says once that spans are lost, and once that they are not any more."""

    def __init__(self, settings: TracingSettings, encoder: SpanEncoder) -> None:
        super().__init__(
            settings.traces_url,
            headers={name: value.get_secret_value() for name, value in settings.headers.items()},
            timeout=settings.timeout,
        )
        self._encoder = encoder
        self._failing = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        sent = True
        for request in self._encoder.requests(cast("Sequence[TraceSpan]", spans)):
            outcome = self._client.export(request)
            sent = sent and outcome.success
            if not outcome.success and outcome.status_code is None:
                break  # nobody answers: the next would wait for as long
        if not sent and not self._failing:
            logger.warning("Spans cannot be sent to the collector and are lost; requests go on.")
        elif self._failing and sent:
            logger.warning("Spans can be sent to the collector again.")
        self._failing = not sent
        return SpanExportResult.SUCCESS if sent else SpanExportResult.FAILURE
