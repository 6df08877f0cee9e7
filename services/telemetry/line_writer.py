"""Lines on their way to standard output, where nothing that becomes of them can hold a request up."""

from __future__ import annotations

import logging
import os
import select
import threading
from queue import SimpleQueue

logger = logging.getLogger("tandem.gateway")

_MOST_WAITING = 50_000
_CLOSE_SECONDS = 2.0


class LineWriter:
    """Gathers lines and writes them together, in a thread of its own: a reader that stops reading holds only that thread up.

    What cannot be written, because the disk is full or standard output closed, is dropped and counted; so is what comes
    while more than `most_waiting` lines wait. The log says once that lines are lost, and how many when it can again.
    """

    def __init__(self, descriptor: int = 1, most_waiting: int = _MOST_WAITING) -> None:
        """Write to the file `descriptor`: standard output, unless a test says otherwise."""
        self._descriptor = descriptor
        self._most_waiting = most_waiting
        self._lines = bytearray()
        self._waiting = 0
        """Lines in it."""
        self._handed: SimpleQueue[bytearray | None] = SimpleQueue()
        self._writing = False
        self._torn = False
        """Whether what is out ends within a line."""
        self._lost = 0
        """Lines lost since the log could last be written."""
        self._thread: threading.Thread | None = None
        self.dropped = 0
        """Lines lost since the start."""

    def add(self, lines: bytes, count: int = 1) -> None:
        """Keep so many lines, each with its end, until the next `flush`."""
        if self._waiting + count <= self._most_waiting:
            self._waiting += count
            self._lines += lines
        else:
            self._drop(count)

    def flush(self) -> None:
        """Have the lines gathered since the last call written, unless those before them are still being written."""
        if not self._lines or self._writing:
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="access-log", daemon=True)
            self._thread.start()
        self._writing = True
        self._handed.put(self._taken())

    def close(self) -> None:
        """Write what is left, as far as that takes no longer than two seconds."""
        if self._lines and self._thread is None:
            self.flush()
        if self._thread is not None:
            self._handed.put(self._taken())
            self._handed.put(None)
            self._thread.join(_CLOSE_SECONDS)
            self._thread = None

    def _taken(self) -> bytearray:
        """What waits, which waits here no longer."""
        lines, self._lines, self._waiting = self._lines, bytearray(), 0
        return lines

    def _run(self) -> None:
        while (lines := self._handed.get()) is not None:
            if lines:
                self._write(lines)
            self._writing = False

    def _write(self, lines: bytearray) -> None:
        data = b"\n" + lines if self._torn else lines
        out = 0
        try:
            while out < len(data):
                out += self._write_some(memoryview(data)[out:])
        except OSError as error:
            if not self._lost:
                logger.warning("Log lines cannot be written and are lost: %s.", error.strerror)
            self._drop(data.count(b"\n", out) - (self._torn and not out))
            self._torn = data[out - 1 : out] != b"\n" if out else self._torn
            return
        self._torn = False
        if self._lost:
            logger.warning("Log lines can be written again; %d were lost.", self._lost)
            self._lost = 0

    def _write_some(self, data: memoryview) -> int:
        try:
            return os.write(self._descriptor, data)
        except BlockingIOError:  # somebody made the pipe non-blocking, and it is full
            select.select([], [self._descriptor], [])
            return 0

    def _drop(self, lines: int) -> None:
        self.dropped += lines
        self._lost += lines
