"""An OpenTelemetry collector for tests: takes OTLP as protobuf over HTTP, on a real port, and keeps the spans."""

from __future__ import annotations

import gzip
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
    from opentelemetry.proto.trace.v1.trace_pb2 import Span as SpanMessage

PATIENCE = 60.0


@dataclass(frozen=True)
class Span:
    """One span as it came over the wire."""

    service: str
    name: str
    trace_id: str
    span_id: str
    parent_id: str
    kind: int
    start: int
    end: int
    attributes: dict[str, Any]
    events: list[str]
    links: list[tuple[str, str]]
    """Trace and span id of each."""
    failed: bool
    state: str
    """Its `tracestate`."""


class Collector:
    """What has come in so far. Answers `status` to each export, once `gate` is set."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.headers: list[dict[str, str]] = []
        self.exports = 0
        self.status = 200
        self.gate = threading.Event()
        self.gate.set()
        self.reached = threading.Event()
        """Set when somebody has begun to export."""
        self._changed = threading.Condition()
        self.url = ""

    def take(self, body: bytes, headers: dict[str, str]) -> None:
        """One export has come."""
        request = ExportTraceServiceRequest.FromString(body)
        found = [
            _span(str(_plain(resource.resource.attributes)["service.name"]), span)
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]
        with self._changed:
            self.exports += 1
            self.headers.append(headers)
            if self.status == 200:
                self.spans += found
            self._changed.notify_all()

    def wait(self, enough: Callable[[list[Span]], Any], seconds: float = PATIENCE) -> list[Span]:
        """Every span, once they are `enough`."""
        deadline = time.monotonic() + seconds
        with self._changed:
            while not enough(self.spans):
                left = deadline - time.monotonic()
                assert left > 0, f"only {[(one.service, one.name) for one in self.spans]}"
                self._changed.wait(left)
            return list(self.spans)

    def wait_for(self, *names: str) -> dict[str, Span]:
        """The spans by name, once there is one of each of `names`."""
        found = self.wait(lambda spans: {one.name for one in spans} >= set(names))
        return {one.name: one for one in found}


def _span(service: str, span: SpanMessage) -> Span:
    return Span(
        service=service,
        name=span.name,
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        kind=span.kind,
        start=span.start_time_unix_nano,
        end=span.end_time_unix_nano,
        attributes=_plain(span.attributes),
        events=[event.name for event in span.events],
        links=[(link.trace_id.hex(), link.span_id.hex()) for link in span.links],
        failed=span.status.code == 2,
        state=span.trace_state,
    )


def _plain(attributes: Any) -> dict[str, Any]:
    pairs: list[KeyValue] = list(attributes)
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(one) for one in value.array_value.values]
    return getattr(value, kind) if kind else None


@contextmanager
def collecting() -> Iterator[Collector]:
    """A collector that listens."""
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            collector.reached.set()
            collector.gate.wait(PATIENCE)
            assert (self.path, self.headers["content-type"]) == ("/v1/traces", "application/x-protobuf")
            collector.take(body, {name.lower(): value for name, value in self.headers.items()})
            self.send_response(collector.status)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class' name
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    collector.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield collector
    finally:
        collector.gate.set()
        server.shutdown()
        server.server_close()
        thread.join()
