"""A server under measurement: its own process group, its port checked before and after the start, always stopped."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

LOG_LIMIT = 64 * 2**20
"""A server's log is cut back when it has grown past this many bytes: some write a line a request."""


ORPHAN_GRACE = 1.0
"""Seconds that a server's children have to end after their parent."""


class StartError(Exception):
    """A server did not come up, or another one answers on its port."""


@dataclass(frozen=True)
class Command:
    """How to start a server."""

    argv: tuple[str, ...]
    cwd: Path
    env: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Usage:
    """What a server's processes have used together."""

    cpu_seconds: float
    rss_bytes: int


class Server:
    """A running server process with all its descendants."""

    def __init__(self, command: Command, port: int, log: Path) -> None:
        """Start it.

        Raises:
            StartError: the port is taken already, so that the wrong server would be measured.

        """
        if not port_is_free(port):
            raise StartError(f"port {port} is taken by another process; stop it first")
        log.parent.mkdir(parents=True, exist_ok=True)
        self.port = port
        self._log = log
        self._sink: IO[bytes] = log.open("ab")
        os.truncate(log, 0)
        self.started = time.perf_counter()
        self._popen = subprocess.Popen(
            command.argv,
            cwd=command.cwd,
            env={**os.environ, **command.env},
            stdin=subprocess.DEVNULL,
            stdout=self._sink,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._root = psutil.Process(self._popen.pid)
        self._seen: dict[int, psutil.Process] = {}

    def wait(self, ready: Callable[[], bool], timeout: float) -> float:
        """Seconds from the start until `ready` says yes and the port is this server's own.

        Raises:
            StartError: it ended or was not ready in time; the message carries the end of its log.

        """
        deadline = self.started + timeout
        while time.perf_counter() < deadline:
            if self._popen.poll() is not None:
                raise StartError(f"it ended with status {self._popen.returncode}: {self.log_tail()}")
            if ready():
                seconds = time.perf_counter() - self.started
                if not self._owns_port():
                    raise StartError(f"port {self.port} is answered by a process that the benchmark did not start")
                return seconds
            time.sleep(0.1)
        raise StartError(f"not ready after {timeout:.0f} s: {self.log_tail()}")

    def processes(self) -> list[psutil.Process]:
        """The server's live processes, the first one first."""
        with contextlib.suppress(psutil.NoSuchProcess):
            for process in (self._root, *self._root.children(recursive=True)):
                self._seen.setdefault(process.pid, process)
        return [process for process in self._seen.values() if process.is_running()]

    def usage(self) -> Usage:
        """CPU time so far and resident memory now, all processes together."""
        cpu, rss = 0.0, 0
        for process in self.processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                times = process.cpu_times()
                cpu += times.user + times.system
                rss += process.memory_info().rss
        return Usage(cpu, rss)

    def trim_log(self) -> None:
        """Cut the log back when it has grown large."""
        if self._log.stat().st_size > LOG_LIMIT:
            os.truncate(self._log, 0)

    def log_tail(self) -> str:
        """The last part of what the server wrote."""
        return self._log.read_text(errors="replace")[-800:].strip()

    def stop(self, grace: float = 10.0) -> None:
        """Ask the server to end and give it `grace` seconds; kill what it leaves behind."""
        processes = self.processes()
        with contextlib.suppress(psutil.NoSuchProcess):
            self._root.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._popen.wait(timeout=grace)
        _, alive = psutil.wait_procs(processes, timeout=ORPHAN_GRACE)
        for process in alive:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(alive, timeout=5)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._popen.wait(timeout=5)
        self._sink.close()

    def _owns_port(self) -> bool:
        return any(self.port in _listening(process) for process in self.processes())


@contextlib.contextmanager
def running(command: Command, port: int, log: Path) -> Iterator[Server]:
    """A started server that is stopped whatever happens."""
    server = Server(command, port, log)
    try:
        yield server
    finally:
        server.stop()


def port_is_free(port: int) -> bool:
    """Whether nobody listens on the loopback port."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) != 0


def _listening(process: psutil.Process) -> set[int]:
    try:
        connections = process.net_connections(kind="tcp")
    except psutil.Error:
        return set()
    return {connection.laddr.port for connection in connections if connection.status == psutil.CONN_LISTEN}
