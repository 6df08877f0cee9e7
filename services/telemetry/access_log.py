"""One JSON line a request, gathered and written together."""

from __future__ import annotations

import sys

import msgspec


class AccessLine(msgspec.Struct, omit_defaults=True):
    """One request, as it is logged."""

    time: float
    request_id: str
    method: str
    route: str
    status: int
    seconds: float
    model: str = ""
    rows: int = 0
    error: str = ""
    key: str = ""
    """Name of the key that was used."""


class AccessLog:
    """Lines of one gateway process, on their way to standard output."""

    def __init__(self) -> None:
        self._lines: list[bytes] = []

    def add(self, line: AccessLine) -> None:
        """Keep a line until the next `flush`."""
        self._lines.append(msgspec.json.encode(line))

    def flush(self) -> None:
        """Write the lines gathered since the last call, in one write."""
        if self._lines:
            self._lines.append(b"")
            sys.stdout.buffer.write(b"\n".join(self._lines))
            sys.stdout.buffer.flush()
            self._lines = []
