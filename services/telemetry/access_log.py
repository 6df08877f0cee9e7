"""One JSON line a request, gathered and written together."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import msgspec

from services.telemetry.line_writer import LineWriter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from services.settings.telemetry import LogsSettings

_FAILED = 400
_encode_lines = msgspec.json.Encoder().encode_lines


class AccessLine(msgspec.Struct, omit_defaults=True, gc=False):
    """One request, as it is logged. Nothing that the client sent in a header, a body or a query but its ids."""

    time: float
    request_id: str
    method: str
    route: str
    status: int
    seconds: float
    """How long it took. Times are noted in whole microseconds: they are many digits less, and read by people."""
    model: str = ""
    version: str = ""
    rows: int = 0
    error: str = ""
    key: str = ""
    """Name of the key that was used."""
    trace_id: str = ""
    queue_seconds: float = 0.0
    """How long it waited: for a batch to leave with, or for its turn at the language model."""
    first_token_seconds: float = 0.0
    """From its start to the first piece of a streamed answer of the language model."""
    tokens_in: int = 0
    tokens_out: int = 0
    client_gone: bool = False
    """Whether the client left before its answer was complete."""


class AccessLog:
    """Lines of one gateway process: those of failed and slow requests, and a share of the others."""

    def __init__(self, settings: LogsSettings, writer: LineWriter | None = None) -> None:
        self._share = settings.sample_ratio
        self._samples = settings.sample_ratio < 1
        self._slow = settings.slow_seconds
        self.writer = writer or LineWriter()

    def add(self, lines: Sequence[AccessLine]) -> None:
        """Keep lines, which nobody changes any more, until the next `flush`."""
        kept = [line for line in lines if self._is_kept(line)] if self._samples else lines
        if kept:
            self.writer.add(_encode_lines(kept), len(kept))

    def flush(self) -> None:
        """Have what was kept written."""
        self.writer.flush()

    def close(self) -> None:
        """Write what is left, as far as that takes no longer than two seconds."""
        self.writer.close()

    def _is_kept(self, line: AccessLine) -> bool:
        slow = line.seconds >= self._slow
        return slow or line.status >= _FAILED or random.random() < self._share  # noqa: S311 - a sample, no secret
