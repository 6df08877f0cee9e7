"""What runs first in vLLM's engine process: it must not outlive its parent, and what it prints goes to its parent.

vLLM starts the process with `multiprocessing`; `started_by_us` puts the function here before its own. This is the
one place where Tandem reaches into vLLM's internals to change them.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import re
import signal
import sys
import threading
from collections import deque
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from multiprocessing.connection import Connection

_PR_SET_PDEATHSIG = 1
_KEPT_LINES = 500

_LOG_PREFIX = re.compile(r"^\([\w ]+ pid=\d+\) ?(?:[A-Z]+ \d\d-\d\d \d\d:\d\d:\d\d \[[^\]]*\] ?)?")
_RAISED = re.compile(r"^(?:\w+\.)*(\w*(?:Error|Exception|Interrupt|Exit|Failure)): (.+)")
_NOT_THE_CAUSE = ("see root cause", "see stack trace", "initialization failed", "engine core proc", "cancelled")


def run_engine_core(output: Connection, parent: int, *args: Any, **kwargs: Any) -> None:
    """The engine process: as vLLM's own, but tied to the process `parent` and printing into `output`."""
    _die_with(parent)
    # Ctrl-C in a terminal reaches the whole group; the parent alone decides when the engine stops.
    os.setpgid(0, 0)
    os.dup2(output.fileno(), 1)
    os.dup2(output.fileno(), 2)
    output.close()
    from vllm.v1.engine.core import EngineCoreProc

    try:
        EngineCoreProc.run_engine_core(*args, **kwargs)
    except Exception:  # noqa: BLE001 - vLLM has logged it; multiprocessing would print it once more
        sys.exit(1)


def _die_with(parent: int) -> None:
    """SIGKILL to this process when the thread that started it ends: no engine is left behind holding memory."""
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


@contextmanager
def started_by_us(output: EngineOutput) -> Iterator[None]:
    """Within it, engine processes that vLLM starts run `run_engine_core`."""
    from vllm.v1.engine.core import EngineCoreProc

    original = EngineCoreProc.run_engine_core
    EngineCoreProc.run_engine_core = staticmethod(partial(run_engine_core, output.writer, os.getpid()))
    try:
        yield
    finally:
        EngineCoreProc.run_engine_core = original
        output.writer.close()


class EngineOutput:
    """Reads what the engine's processes print: kept for the root cause of a failure, passed on when asked to."""

    def __init__(self, forward: Callable[[str], None]) -> None:
        self._reader, self.writer = multiprocessing.Pipe(duplex=False)
        self._forward = forward
        self._lines: deque[str] = deque(maxlen=_KEPT_LINES)
        self.forwarding = False
        """Whether lines are passed on: not while loading, where vLLM warns of much that nobody can act on."""
        self._thread = threading.Thread(target=self._pump, name="llm-engine-output", daemon=True)
        self._thread.start()

    def root_cause(self, timeout: float = 1.0) -> str | None:
        """Why the engine ended, once its processes have: the first exception that is not a consequence of another."""
        self._thread.join(timeout)
        return root_cause(tuple(self._lines))

    def _pump(self) -> None:
        with os.fdopen(os.dup(self._reader.fileno()), errors="replace") as lines:
            self._reader.close()
            for line in lines:
                self._lines.append(line)
                if self.forwarding:
                    self._forward(line.rstrip("\n"))


def root_cause(lines: Iterable[str]) -> str | None:
    """The message of the first exception in a log that does not merely point to another."""
    for line in lines:
        raised = _RAISED.match(_LOG_PREFIX.sub("", line))
        if raised and not any(phrase in line.lower() for phrase in _NOT_THE_CAUSE):
            return f"{raised[1]}: {raised[2].strip()}"
    return None
