"""Where the gateway's time of a request goes: `make bench ARGS=--stages`.

py-spy samples the gateway while wrk loads it. Each sample of the event loop's thread counts for the stage of the innermost frame
that belongs to one, also while a system call lets another process go first. The microseconds are these shares of the CPU time a
request, which is measured before, without py-spy.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scripts.bench import messages, report, rounds, tables, wrk
from scripts.bench.catalogue import PEERS_BY_NAME, TARGET
from scripts.bench.environments import Unavailable
from scripts.bench.server import Server, StartError, running
from scripts.bench.soak import role

if TYPE_CHECKING:
    from collections.abc import Mapping

    import psutil

CONNECTIONS = 64
SAMPLES_A_SECOND = 500
_PROFILER_SECONDS = 60
"""Most that py-spy takes beyond its measurement."""
_OTHER_THREAD = "Thread._bootstrap"
LOOP = "event loop: wake-ups, reading sockets"
STAGES = {
    "the answer: its head, and writing it": (
        "Cycle.answer",
        "answer (services/asgi.py",
        "Exchange.whole",
        "send_bytes",
    ),
    "HTTP on the way in, and a task for it": (
        "services/http_protocol.py",
        "services/http_answer.py",
        "services/http_patience.py",
        "services/known_head.py",
        "services/asgi.py",
        "uvicorn/protocols/",
    ),
    "batcher and data plane: queue, future, deadline": (
        "services/gateway/batching.py",
        "services/gateway/dataplane.py",
        "services/gateway/lanes.py",
        "services/gateway/control/fairness.py",
    ),
    "the hop and its frames, shared by a batch": (
        "services/gateway/hop.py",
        "services/gateway/upstream.py",
        "services/gateway/replicas.py",
        "services/gateway/backends.py",
        "services/frames.py",
        "services/tensors.py",
    ),
    "decoding the body with all checks": ("services/gateway/native/schemas.py",),
    "building and encoding the body": ("services/gateway/native/",),
    "metrics and log line": ("services/telemetry/",),
    "routing, request id, control": ("services/gateway/",),
}
"""What marks the frames of each stage; of two that mark a frame, the first."""


class MissingPySpyError(Exception):
    """py-spy is not installed."""

    def __init__(self) -> None:
        super().__init__("py-spy, the profiler, is not installed: `make test` sets it up")


def stage(stack: str) -> str | None:
    """The stage of one sample; None for another thread than the event loop's. Frames are separated by semicolons, outermost first."""
    frames = stack.split(";")
    if frames[0].startswith(_OTHER_THREAD):
        return None
    for frame in reversed(frames):
        for name, marks in STAGES.items():
            if any(mark in frame for mark in marks):
                return name
    return LOOP


def count(raw: str) -> Counter[str]:
    """Samples by stage, of what `py-spy record -f raw` wrote: a stack and how often it was seen, a line."""
    counted: Counter[str] = Counter()
    for line in raw.splitlines():
        stack, _, seen = line.rpartition(" ")
        name = stage(stack)
        if name is not None:
            counted[name] += int(seen)
    return counted


def table(counted: Mapping[str, int], cpu_us: float) -> str:
    """Share and microseconds of each stage, the largest first."""
    total = sum(counted.values())
    shares = sorted(((seen / total, name) for name, seen in counted.items()), reverse=True)
    return tables.grid(
        ["stage", "share", "µs"], [[name, f"{share:.0%}", f"{share * cpu_us:.1f}"] for share, name in shares]
    )


def run(seconds: float, facts: dict[str, Any], folder: Path) -> int:
    """Measure, print the table and write `stages.json`; the exit status."""
    peer = PEERS_BY_NAME[TARGET]
    body = messages.iris(peer.protocol, 1)
    try:
        profiler = _profiler()
        command = peer.prepare(peer)
        with running(command, peer.port, peer.log_file) as server:
            server.wait(lambda: messages.answers_iris(peer.url, peer.protocol), peer.start_timeout)
            rounds.settle(peer, server)
            wrk.measure(peer.url, body, "stages", CONNECTIONS, peer.warm_seconds)
            gateway = _gateway(server)
            before = _cpu(gateway)
            outcome = wrk.measure(peer.url, body, "stages", CONNECTIONS, seconds)
            cpu_us = (_cpu(gateway) - before) / outcome.requests * 1e6
            with wrk.start(peer.url, body, "stages", CONNECTIONS, seconds + _PROFILER_SECONDS) as load:
                try:
                    raw = _profile(profiler, gateway.pid, seconds)
                finally:
                    load.terminate()
    except (StartError, Unavailable, MissingPySpyError) as error:
        print(f"not run: {error}", file=sys.stderr)
        return 1
    counted = count(raw)
    print(f"{outcome.per_second:,.0f} req/s; {cpu_us:.1f} µs of the gateway's CPU time a request\n")
    print(table(counted, cpu_us))
    measured = {"per_second": round(outcome.per_second), "gateway_cpu_us": round(cpu_us, 1), "samples": dict(counted)}
    report.write(folder / "stages.json", facts | measured)
    return 0


def _profiler() -> str:
    found = shutil.which("py-spy", path=str(Path(sys.executable).parent)) or shutil.which("py-spy")
    if found is None:
        raise MissingPySpyError
    return found


def _gateway(server: Server) -> psutil.Process:
    return next(process for process in server.processes() if role(process) == "Gateway")


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _profile(profiler: str, process: int, seconds: float) -> str:
    with tempfile.TemporaryDirectory() as folder:
        written = Path(folder) / "stacks"
        line = [profiler, "record", "--format", "raw", "--output", str(written), "--pid", str(process)]
        line += ["--duration", str(max(1, round(seconds))), "--rate", str(SAMPLES_A_SECOND)]
        done = subprocess.run(line, capture_output=True, text=True, timeout=seconds + _PROFILER_SECONDS, check=False)
        if done.returncode:
            raise StartError(f"py-spy failed: {done.stderr.strip()[-400:]}")
        return written.read_text()
