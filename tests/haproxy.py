"""A real HAProxy of a test's own before several servers, asking each for its `/readyz`."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.e2e.server import free_port

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_CONFIGURATION = """
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  timeout check 5s
  option httpchk GET /readyz
  default-server inter 300ms fall 1 rise 1

frontend statistics
  bind 127.0.0.1:{statistics}
  stats enable
  stats uri /

frontend clients
  bind 127.0.0.1:{port}
  default_backend servers

backend servers
  balance roundrobin
{servers}
"""


class HAProxy:
    """Running from the start, until `stop`."""

    def __init__(self, folder: Path, ports: Mapping[str, int]) -> None:
        """`ports` has the servers on this machine by name."""
        program = shutil.which("haproxy", path=f"{os.environ['PATH']}:/usr/sbin")
        if program is None:
            pytest.skip("haproxy is not installed")
        port, self._statistics = free_port(), free_port()
        self.url = f"http://127.0.0.1:{port}"
        servers = "\n".join(f"  server {name} 127.0.0.1:{at} check" for name, at in ports.items())
        file = folder / "haproxy.cfg"
        file.write_text(_CONFIGURATION.format(statistics=self._statistics, port=port, servers=servers))
        self._process = subprocess.Popen([program, "-db", "-f", str(file)], cwd=folder)

    def wait_for(self, name: str, status: str, seconds: float = 60) -> None:
        """Wait until it sees the server `name` as `status`, "UP" or "DOWN"."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                table = httpx.get(f"http://127.0.0.1:{self._statistics}/;csv").text
            except httpx.TransportError:
                table = ""
            rows = [line.split(",") for line in table.splitlines()]
            if any(row[:2] == ["servers", name] and row[17].startswith(status) for row in rows):
                return
            time.sleep(0.1)
        raise AssertionError(f"HAProxy does not see {name} as {status}:\n{table}")

    def stop(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()
