"""A gateway that traces, and callers that bring a trace of their own."""

from __future__ import annotations

from contextlib import ExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

from services.settings.telemetry import TracingSettings
from services.telemetry.tracing import create_tracing
from tests.wired import Wired, classifier_at, llm_at

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    import httpx

    from services.telemetry.tracing import Tracing
    from tests.otlp import Collector

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"
SAMPLED = {"traceparent": f"00-{TRACE}-{PARENT}-01", "tracestate": "vendor=one,other=two"}
UNSAMPLED = {"traceparent": f"00-{TRACE}-{PARENT}-00"}


def make(collector: Collector, service: str = "tandem-gateway", **settings: Any) -> Tracing:
    made = create_tracing(TracingSettings(endpoint=collector.url, export_interval=0.05, **settings), service)
    assert made is not None
    return made


@asynccontextmanager
async def bundle_with(folder: Path, collector: Collector, **settings: Any) -> AsyncIterator[httpx.AsyncClient]:
    """A gateway and a Classifier, each with a process' own tracing, over a real socket."""
    with ExitStack() as stack:
        gateway, classifier = make(collector, **settings), make(collector, "tandem-classifier", sample_ratio=0)
        stack.callback(gateway.close)
        stack.callback(classifier.close)
        wired = Wired(folder, gateway, patience=60)
        async with (
            classifier_at(wired.paths["classifier"], classifier),
            llm_at(wired.paths["llm"]),
            wired.client() as client,
        ):
            yield client
