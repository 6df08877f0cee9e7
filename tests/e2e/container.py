"""Runs the image for the end-to-end tests: locked down as an orchestrator would, reached on ports of its own."""

from __future__ import annotations

import json
import subprocess
import time
from typing import TYPE_CHECKING, Any

import httpx

from tests.e2e.reached import Reached
from tests.e2e.server import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

LOCKED = ("--read-only", "--tmpfs", "/tmp", "--cap-drop", "all", "--security-opt", "no-new-privileges")
"""Nothing may be written but /tmp, and no capability is held or can be gained."""


def podman(*arguments: str, check: bool = True) -> str:
    """What podman answers."""
    done = subprocess.run(["podman", *arguments], capture_output=True, text=True, check=False)
    if check and done.returncode:
        raise AssertionError(f"podman {' '.join(arguments[:2])}: {done.stderr}")
    return done.stdout.strip()


class Container(Reached):
    """One container of the image, from start to stop, on this machine's network."""

    def __init__(
        self,
        image: str,
        env: Mapping[str, str] | None = None,
        options: Sequence[str] = (),
        command: Sequence[str] = (),
        network: str = "",
    ) -> None:
        """Start it locked down, as a user that the image knows nothing of; on `network`, or else on this machine's own."""
        self.port, self.grpc_port = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        ports = {"PORT": str(self.port), "TANDEM_GATEWAY__GRPC_PORT": str(self.grpc_port)}
        said = {**({} if network else ports), **(env or {})}
        published = [f"127.0.0.1:{self.port}:3000", f"127.0.0.1:{self.grpc_port}:3001"]
        options = (*options, *(word for one in published for word in ("--publish", one))) if network else options
        variables = [word for name, value in said.items() for word in ("--env", f"{name}={value}")]
        user = ("--user", "123456:123456")
        self.id = podman(
            "run", "--detach", "--network", network or "host", *LOCKED, *user, *variables, *options, image, *command
        )
        self.http = httpx.Client(base_url=self.url, timeout=60)

    def wait_for(self, condition: Callable[[], Any], seconds: float) -> Any:
        """The first true value of `condition`, which is asked every quarter of a second while the container runs."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            value = condition()
            if value:
                return value
            if not self.inspect("State")["Running"]:
                raise AssertionError(f"The container ended with {self.inspect('State')['ExitCode']}:\n{self.log()}")
            time.sleep(0.25)
        raise AssertionError(f"Not within {seconds:g} s:\n{self.log()}")

    def wait_ended(self) -> int:
        """Its exit status, once it has ended."""
        return int(podman("wait", self.id))

    def stop(self, seconds: int = 60) -> int:
        """Ask it to stop, as an orchestrator does; its exit status."""
        podman("stop", "--time", str(seconds), self.id)
        return self.wait_ended()

    def run(self, *command: str) -> str:
        """What a command prints inside."""
        return podman("exec", self.id, *command)

    def inspect(self, part: str) -> dict[str, Any]:
        """One part of what podman knows of it."""
        found: dict[str, Any] = json.loads(podman("container", "inspect", self.id))[0][part]
        return found

    def log(self) -> str:
        """What it has printed."""
        done = subprocess.run(["podman", "logs", self.id], capture_output=True, text=True, check=False)
        return done.stdout + done.stderr

    def remove(self) -> None:
        """Leave nothing of it."""
        self.http.close()
        podman("rm", "--force", "--time", "0", self.id, check=False)
