"""What is noted of every request: its metrics and its log line."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

from prometheus_client import REGISTRY, CollectorRegistry

from services.settings.telemetry import LogsSettings
from services.telemetry import definitions
from services.telemetry.access_log import AccessLine, AccessLog
from services.telemetry.exposition import Facts, FactsCollector, exposition
from services.telemetry.metrics import Metrics
from services.telemetry.processes import ProcessesCollector
from services.telemetry.tracing import NEVER

if TYPE_CHECKING:
    from pathlib import Path

    from services.telemetry.trace_context import Caller
    from services.telemetry.tracing import Tracing


_TOGETHER = 256
"""Requests that are counted and logged at once: one by one, in between all else that a request needs, each takes three times as long."""


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
        self.registry = registry
        self._folder = shared_folder
        self.metrics = Metrics(registry)
        self.metrics.watch(definitions.REQUESTS_IN_FLIGHT, lambda: {(): self.active})
        self._tracing = tracing
        self._log = AccessLog(logs or LogsSettings()) if access_log else None
        self._begun = 0
        """Requests that have come in."""
        self._sampled_next = tracing.gap() + 1 if tracing is not None else NEVER
        """Which of them is traced next, unless it comes with a decision of its caller's."""
        self._ended: list[AccessLine] = []
        self._noted = 0
        """Requests that have ended, but for those above."""

    @property
    def active(self) -> int:
        """Requests under way."""
        return self._begun - self._noted - len(self._ended)

    def begin(self, line: AccessLine, caller: Caller | None = None) -> float:
        """Note that the request of `line` has come in, which belongs to the span of `caller`; returns when, by `time.monotonic`."""
        self._begun += 1
        if self._begun >= self._sampled_next or caller is not None:
            self._trace(line, caller)
        return monotonic()

    def end(self, began: float, line: AccessLine) -> None:
        """Note that a request that came at `began` has been answered."""
        line.seconds = (monotonic() - began) * 1e6 // 1 / 1e6  # whole microseconds, for less than to round them
        self._ended.append(line)
        if line.trace_id and self._tracing is not None:
            self._tracing.end(line)
        if len(self._ended) >= _TOGETHER:
            self._note()

    def flush(self) -> None:
        """Write the log lines gathered since the last call, and bring the metrics up to date."""
        self._note()
        if self._log is not None:
            self._log.flush()
            self.metrics.log_lines_dropped(self._log.writer.dropped)
        self.metrics.flush()

    def _note(self) -> None:
        """Count and log the requests that have ended since the last call."""
        lines, self._ended = self._ended, []
        self._noted += len(lines)
        self.metrics.requests(lines)
        if self._log is not None:
            self._log.add(lines)

    def _trace(self, line: AccessLine, caller: Caller | None) -> None:
        """Begin the span of a request that is sampled, or comes with a span of its caller's."""
        is_sampled = self._begun >= self._sampled_next
        if self._tracing is not None:
            if is_sampled:
                self._sampled_next += self._tracing.gap() + 1
            self._tracing.begin(line, caller, is_sampled=is_sampled)

    def close(self) -> None:
        """Write and send what is left; waits for it, for two seconds at most each."""
        self.flush()
        if self._log is not None:
            self._log.close()
        if self._tracing is not None:
            self._tracing.close()

    def exposition(self, facts: Facts) -> bytes:
        """All metrics in Prometheus' text format, as of the last flush; takes milliseconds, so use a thread."""
        return exposition(self.registry, self._folder, FactsCollector(facts), ProcessesCollector())
