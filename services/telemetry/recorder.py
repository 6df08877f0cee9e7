"""What is noted of every request: its metrics and its log line."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from prometheus_client import REGISTRY, CollectorRegistry

from services.settings.telemetry import LogsSettings
from services.telemetry.access_log import AccessLine, AccessLog, work_for
from services.telemetry.metrics import Metrics

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from services.telemetry.tracing import Headers, Tracing


class Telemetry:
    """Counts, times and logs requests of one gateway process."""

    def __init__(
        self,
        *,
        access_log: bool,
        logs: LogsSettings | None = None,
        tracing: Tracing | None = None,
        registry: CollectorRegistry = REGISTRY,
        shared_folder: Path | None = None,
    ) -> None:
        """Metrics are registered in `registry`; `shared_folder` holds those of every process of this server."""
        self._metrics = Metrics(registry, shared_folder)
        self._tracing = tracing
        self._log = AccessLog(logs or LogsSettings()) if access_log else None
        self.active = 0
        self.batch = self._metrics.batch

    def begin(self, line: AccessLine, headers: Headers = ()) -> float:
        """Note that the request of `line` has come in; returns the time to hand to `end`."""
        self.active += 1
        work_for(line)
        if self._tracing is not None:
            self._tracing.begin(line, headers)
        return time.perf_counter()

    def end(self, began: float, line: AccessLine) -> None:
        """Note that a request has been answered."""
        self.active -= 1
        seconds = time.perf_counter() - began
        self._metrics.request(line.route, line.status, seconds)
        if self._tracing is not None:
            self._tracing.end(line)
        if self._log is not None:
            line.seconds = round(seconds, 6)
            self._log.add(line)

    def flush(self) -> None:
        """Write the log lines gathered since the last call, and bring gauges up to date."""
        if self._log is not None:
            self._log.writer.flush()
            self._metrics.log_lines_dropped(self._log.writer.dropped)
        self._metrics.in_flight(self.active)

    def close(self) -> None:
        """Write and send what is left; waits for it, for two seconds at most each."""
        if self._log is not None:
            self._log.writer.close()
        if self._tracing is not None:
            self._tracing.close()

    def exposition(self, served: Iterable[tuple[str, str]] = ()) -> bytes:
        """All metrics in Prometheus' text format; `served` is name and version of the models that are served."""
        self._metrics.in_flight(self.active)
        return self._metrics.exposition(served)
