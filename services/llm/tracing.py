"""Has vLLM send spans of its own, below the gateway's, to the same collector."""

from __future__ import annotations

import atexit
import logging
import threading
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from services.settings.telemetry import TracingSettings

_CLOSE_SECONDS = 2.0


def tracing_argv(settings: TracingSettings) -> list[str]:
    """What vLLM's command line needs; nothing where nothing is traced."""
    return ["--otlp-traces-endpoint", settings.traces_url] if settings.endpoint else []


def tracing_environment(settings: TracingSettings) -> dict[str, str]:
    """What OpenTelemetry reads in vLLM's processes. The gateway samples: what it does not name, vLLM does not trace."""
    if not settings.endpoint:
        return {}
    headers = ",".join(f"{quote(name)}={quote(value.get_secret_value())}" for name, value in settings.headers.items())
    return {
        "OTEL_SERVICE_NAME": "tandem-llm",
        "OTEL_TRACES_SAMPLER": "parentbased_always_off",
        "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf",
        "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT": str(settings.timeout),
        "OTEL_BSP_SCHEDULE_DELAY": str(int(settings.export_interval * 1000)),
        "OTEL_BSP_MAX_QUEUE_SIZE": str(settings.queue_size),
        "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": str(min(512, settings.queue_size)),
        **({"OTEL_EXPORTER_OTLP_TRACES_HEADERS": headers} if headers else {}),
    }


def quieten() -> None:
    """OpenTelemetry would tell of each span that is lost; the gateway tells once."""
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)


def stop_tracing() -> None:
    """Send what is left, as far as that takes no longer than two seconds: a collector that hangs must not hold the end up."""
    from opentelemetry import trace

    shutdown = getattr(trace.get_tracer_provider(), "shutdown", None)
    if shutdown is not None:
        atexit.unregister(shutdown)
        stopping = threading.Thread(target=shutdown, name="spans-closing", daemon=True)
        stopping.start()
        stopping.join(_CLOSE_SECONDS)
