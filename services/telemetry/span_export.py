"""Sends spans to a collector by OTLP, as protobuf over HTTP, from a thread of its own.

Ended spans wait in a bounded queue; what does not fit is dropped. A collector that is slow, full of errors or gone
therefore costs spans and never a request's time.
"""

from __future__ import annotations

import logging
import os
import threading
from typing import TYPE_CHECKING

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ALWAYS_ON

from services.runtime import VERSION

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.trace import Tracer

    from services.settings.telemetry import TracingSettings

logger = logging.getLogger("tandem.tracing")

_MOST_LINKS = 1024
_MOST_TOGETHER = 512
_CLOSE_SECONDS = 2.0


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
        resource = Resource.create(
            {
                "service.name": service,
                "service.namespace": "tandem",
                "service.version": VERSION,
                "service.instance.id": str(os.getpid()),
            }
        )
        # Who is sampled is decided before a span is made.
        self._provider = TracerProvider(
            ALWAYS_ON, resource, shutdown_on_exit=False, span_limits=SpanLimits(max_links=_MOST_LINKS)
        )
        self._provider.add_span_processor(
            BatchSpanProcessor(
                _Telling(exporter),
                max_queue_size=settings.queue_size,
                schedule_delay_millis=settings.export_interval * 1000,
                max_export_batch_size=min(_MOST_TOGETHER, settings.queue_size),
            )
        )

    @property
    def tracer(self) -> Tracer:
        """What makes spans that are sent."""
        return self._provider.get_tracer("tandem", VERSION)

    def close(self) -> None:
        """Send what is left, as far as that takes no longer than two seconds."""
        closing = threading.Thread(target=self._provider.shutdown, name="spans-closing", daemon=True)
        closing.start()
        closing.join(_CLOSE_SECONDS)


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
