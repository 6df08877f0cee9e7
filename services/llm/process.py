"""What runs first in vLLM's engine process: it must not outlive its parent, and what it prints goes to its parent.

vLLM starts the process with `multiprocessing`; `started_by_us` puts the function here before its own. Here, in
`services.llm.constraints`, `services.llm.lean_streams` and `services.llm.norms` Tandem reaches into vLLM's internals, and nowhere else.
"""

from __future__ import annotations

import ctypes
import math
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections import deque
from contextlib import contextmanager, suppress
from functools import partial
from multiprocessing import resource_tracker
from typing import TYPE_CHECKING, Any

from services.llm.failure import root_cause

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from multiprocessing.connection import Connection

_PR_SET_PDEATHSIG = 1
_KEPT_LINES = 500
_DRAIN_SECONDS = 1.0


def run_engine_core(output: Connection, parent: int, *args: Any, **kwargs: Any) -> None:
    """The engine process: as vLLM's own, but tied to the process `parent` and printing into `output`."""
    _die_with(parent)
    os.setpgid(0, 0)
    os.dup2(output.fileno(), 1)
    os.dup2(output.fileno(), 2)
    output.close()
    allow_tiles()
    from vllm.v1.engine.core import EngineCoreProc

    import services.llm.norms  # noqa: F401 - makes them known

    code = 1
    try:
        EngineCoreProc.run_engine_core(*args, **kwargs)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0
    except Exception:  # noqa: BLE001 - vLLM has logged it; multiprocessing would print it once more
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    # By now vLLM has released everything; the interpreter would take seconds to free its memory piece by piece.
    os._exit(code)


def allow_tiles() -> None:
    """Ask the kernel for the right to use AMX's tiles, in this process, where the processor has them.

    vLLM's attention on CPU uses them without asking. It got away with that only where oneDNN had multiplied a larger matrix before, and asked:
    a first request of a few tokens ended the engine with an illegal instruction.
    """
    import torch

    if torch.cpu._is_amx_tile_supported():  # noqa: SLF001 - torch has no other way to say it
        torch.cpu._init_amx()  # noqa: SLF001


def yield_to_engine() -> None:
    """Let this thread, which passes on what the engine makes, not take the core from it each time it has something to pass on.

    On two cores with 16 and 64 streams the engine waited for one 2 and 5 % of its time, and with this 1 and 4 %. Threads and processes that this
    one starts from now on do the same. Where the system has no such thing, or the operator has chosen how it is scheduled, all stays as it is.
    """
    if sys.platform == "linux" and os.sched_getscheduler(0) == os.SCHED_OTHER:
        with suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def stop_engines() -> None:
    """Ask the engine processes of this one to end in good order; vLLM's own request, SIGTERM, does not reach them."""
    for process in multiprocessing.active_children():
        if process.pid:
            os.kill(process.pid, signal.SIGINT)


def kill_engines() -> None:
    """End the engine processes of this one at once."""
    for process in multiprocessing.active_children():
        process.kill()


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
    """Within it, engine processes that vLLM starts from this thread run `run_engine_core`.

    This process alone decides when they stop, after the answers under way: they are out of the process group that a
    terminal's Ctrl-C reaches, and block SIGTERM, which BentoML's supervisor sends to a service's children as well.
    """
    from vllm.v1.engine.core import EngineCoreProc

    original = EngineCoreProc.run_engine_core
    EngineCoreProc.run_engine_core = staticmethod(partial(run_engine_core, output.writer, os.getpid()))
    resource_tracker.ensure_running()  # whose start would unblock the signal
    inherited = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, inherited)
        EngineCoreProc.run_engine_core = original
        output.writer.close()


class EngineOutput:
    """Reads what the engine's processes print: kept for the root cause of a failure, passed on when asked to."""

    def __init__(self, forward: Callable[[str], None]) -> None:
        self._reader, self.writer = multiprocessing.Pipe(duplex=False)
        self._forward = forward
        self._lines: deque[tuple[float, str]] = deque(maxlen=_KEPT_LINES)
        self.forwarding = False
        """Whether lines are passed on: not while loading, where vLLM warns of much that nobody can act on."""
        self._thread = threading.Thread(target=self._pump, name="llm-engine-output", daemon=True)
        self._thread.start()

    def root_cause(self, within: float = math.inf) -> str | None:
        """Why the engine ended, once its processes have: what was raised first in the last `within` seconds."""
        self._thread.join(_DRAIN_SECONDS)
        since = time.monotonic() - within
        return root_cause([line for when, line in tuple(self._lines) if when >= since])

    def _pump(self) -> None:
        with os.fdopen(os.dup(self._reader.fileno()), errors="replace") as lines:
            self._reader.close()
            for line in lines:
                self._lines.append((time.monotonic(), line))
                if self.forwarding:
                    self._forward(line.rstrip("\n"))
