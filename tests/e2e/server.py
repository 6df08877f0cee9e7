"""Runs a real bundle for the end-to-end tests: own process group, own BentoML home, own port."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import psutil

from tests.e2e.reached import Reached

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

PROJECT = Path(__file__).parents[2]


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server(Reached):
    """One `bentoml serve`, from start to stop."""

    def __init__(
        self,
        target: str,
        folder: Path,
        home: Path,
        log: Path,
        env: Mapping[str, str] | None = None,
        *,
        role: str = "",
        port: int = 0,
    ) -> None:
        """Start `bentoml serve target` in `folder`, or as `role` with Tandem's own command; its output goes to `log`."""
        self.port = port or free_port()
        self.grpc_port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = log
        address = ["--host", "127.0.0.1", "--port", str(self.port)]
        bentoml = [sys.executable, "-m", "bentoml", "serve", target, *address, "--timeout-graceful-shutdown", "20"]
        command = [sys.executable, "-m", "scripts.serve", "--role", role, *address] if role else bentoml
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("COV_", "COVERAGE_"))},
            "BENTOML_HOME": str(home),
            "BENTOML_DO_NOT_TRACK": "true",
            "PYTHONUNBUFFERED": "1",
            "TANDEM_GATEWAY__GRPC_PORT": str(self.grpc_port),
            "TANDEM_DRAIN__DELAY": "0",
            **(env or {}),
        }
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                command,
                cwd=folder,
                env=environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.http = httpx.Client(base_url=self.url, timeout=60)

    def wait_for(self, condition: Callable[[], Any], seconds: float) -> Any:
        """The first true value of `condition`, which is asked every quarter of a second."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise AssertionError(f"The server ended with {self._process.returncode}:\n{self.tail()}")
            value = condition()
            if value:
                return value
            time.sleep(0.25)
        raise AssertionError(f"Not within {seconds:g} s:\n{self.tail()}")

    def metric(self, name: str) -> float:
        """The sum of a metric over its labels, from `/metrics`."""
        lines = self.http.get("/metrics").text.splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith((f"{name}{{", f"{name} ")))

    def worker(self, service: str) -> psutil.Process:
        """The process that runs `service`; LookupError when there is none."""
        for process in psutil.Process(self._process.pid).children(recursive=True):
            try:
                command = process.cmdline()
            except (psutil.NoSuchProcess, psutil.ZombieProcess):
                continue
            if "--service-name" in command and command[command.index("--service-name") + 1] == service:
                return process
        raise LookupError(service)

    def processes(self) -> list[psutil.Process]:
        """Everything that the server started, itself included."""
        parent = psutil.Process(self._process.pid)
        return [parent, *parent.children(recursive=True)]

    def kill(self) -> None:
        """End all of it at once, as the loss of its machine does."""
        processes = self.processes()
        for process in processes:
            process.kill()
        psutil.wait_procs(processes, timeout=10)
        self._process.wait()

    def terminate(self) -> None:
        """Ask it to stop, as an orchestrator does."""
        os.kill(self._process.pid, signal.SIGTERM)

    def wait_stopped(self, seconds: float = 40) -> int:
        """Its exit status."""
        return self._process.wait(seconds)

    def stop(self) -> None:
        """Stop it, with force if it must be."""
        self.http.close()
        if self._process.poll() is None:
            left = self.processes()
            self.terminate()
            try:
                self.wait_stopped()
            except subprocess.TimeoutExpired:
                self._process.kill()
            _, alive = psutil.wait_procs(left, timeout=10)
            for process in alive:
                process.kill()

    def tail(self, lines: int = 40) -> str:
        """The end of its log; nothing of a device, which may have no end."""
        if self.log.is_char_device():
            return ""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])
