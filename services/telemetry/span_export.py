"""Sends spans to a collector by OTLP, as protobuf over HTTP, from a thread of its own.

Ended spans wait in a bounded queue; what does not fit is dropped. A collector that is slow, full of errors or gone
therefore costs spans and never a request's time. The queue is not the SDK's, whose way in is six calls long, which took 4 us a span in
the midst of other work.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import deque
from typing import TYPE_CHECKING

from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY, attach, set_value
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import NoOpTracer

from services.runtime import VERSION
from services.telemetry.span_encoding import SpanEncoder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from services.settings.telemetry import TracingSettings
    from services.telemetry.spans import TraceSpan

logger = logging.getLogger("tandem.tracing")

_MOST_TOGETHER = 1024
"""Spans of an export, and how many go before it is time: one costs as much as to encode some hundred of them."""
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
        self._sender = SpanExporter(settings, SpanEncoder(resource.attributes, "tandem", VERSION))
        self._interval = settings.export_interval
        self._most = min(_MOST_TOGETHER, settings.queue_size)
        self._waiting: deque[TraceSpan] = deque(maxlen=settings.queue_size)  # the oldest make room
        self._called = threading.Event()
        """Set to have the thread look at what waits before it is time."""
        self._closing = False
        self._closed = False
        """Whether nothing more may be sent."""
        self._thread = threading.Thread(target=self._run, name="spans", daemon=True)
        self._thread.start()

    def take(self, span: TraceSpan) -> None:
        """Have a span sent that has ended."""
        self._waiting.append(span)
        if len(self._waiting) >= self._most and not self._called.is_set():
            self._called.set()

    def close(self) -> None:
        """Send what is left, as far as that takes no longer than two seconds."""
        self._closing = True
        self._called.set()
        self._thread.join(_CLOSE_SECONDS)
        self._closed = True
        self._sender.shutdown()  # type: ignore[no-untyped-call]

    def _run(self) -> None:
        attach(set_value(_SUPPRESS_INSTRUMENTATION_KEY, True))  # whoever traces all HTTP must not trace this
        due = time.monotonic() + self._interval
        while not self._closing:
            self._called.wait(max(0.0, due - time.monotonic()))
            self._called.clear()  # before the look, so that whoever comes after it calls again
            while len(self._waiting) >= self._most and not self._closing:
                self._send_some()
            if time.monotonic() >= due:
                self._send_some()
                due = time.monotonic() + self._interval
        while self._waiting and not self._closed:
            self._send_some()

    def _send_some(self) -> None:
        """Send those that have waited longest, if any wait."""
        together = [self._waiting.popleft() for _ in range(min(len(self._waiting), self._most))]
        if not together:
            return
        try:
            self._sender.send(together)
        except Exception:
            logger.exception("Spans could not be sent and are lost")


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

    def send(self, spans: Sequence[TraceSpan]) -> bool:
        """Send spans that have ended; whether all have come."""
        sent = True
        for request in self._encoder.requests(spans):
            outcome = self._client.export(request)
            sent = sent and outcome.success
            if not outcome.success and outcome.status_code is None:
                break  # nobody answers: the next would wait for as long
        if not sent and not self._failing:
            logger.warning("Spans cannot be sent to the collector and are lost; requests go on.")
        elif self._failing and sent:
            logger.warning("Spans can be sent to the collector again.")
        self._failing = not sent
        return sent
