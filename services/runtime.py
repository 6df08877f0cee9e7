"""What all three services share in how BentoML runs them."""

from __future__ import annotations

import gc
import resource
from typing import Any

VERSION = "0.1.0"
"""Of Tandem; `pyproject.toml` has the same."""

SERVICE_OPTIONS: dict[str, Any] = {
    "metrics": {"enabled": False},
    "logging": {"access": {"enabled": False}},
    "tracing": {"excluded_urls": ".*"},
    "traffic": {"timeout": 86_400},
}
"""BentoML's own metrics, access log and tracing are off: `services/telemetry/` does that work, at a fraction of
the cost. Deadlines are ours as well, so its timeout is as good as none."""

DEPENDENCY_OPTIONS: dict[str, Any] = {"runner_connection": {"max_requests": 10**9, "max_age": 1e9}}
"""For a service that others depend on: BentoML's client closes its session after 100 calls otherwise, and kills
the calls in flight with it."""

METRICS_PATH = "/metrics"
METRICS_HEADERS = ((b"content-type", b"text/plain; version=0.0.4; charset=utf-8"),)
"""Prometheus' text format."""

STATUS_PATH = "/_tandem/status"
"""Where each dependency tells the gateway how it is."""


def allow_many_connections() -> None:
    """Let this process open as many files as the system lets it: each connection is one, and 1024 is a common default."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def settle_garbage_collector() -> None:
    """Put everything that start-up made out of the collector's sight, and collect seldom from then on.

    A full collection with scikit-learn loaded takes about 100 ms, which every request in flight would wait for.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 50, 1000)
