"""A real Redis of a test's own, on a Unix socket."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from services.gateway.control.assembly import redis_client
from services.settings.control import RedisSettings

if TYPE_CHECKING:
    from pathlib import Path

    from redis.asyncio import Redis


class RedisServer:
    """Starts, stops and starts again, without keeping anything."""

    def __init__(self, folder: Path) -> None:
        self._socket = folder / "redis.sock"
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"unix://{self._socket}"
        self.settings = RedisSettings.model_validate({"url": self.url, "retry_interval": 0.05, "timeout": 2.0})

    def start(self) -> None:
        """Returns once it takes connections."""
        program = shutil.which("redis-server")
        if program is None:
            pytest.skip("redis-server is not installed")
        options = ("--port", "0", "--unixsocket", str(self._socket), "--save", "", "--appendonly", "no")
        self._process = subprocess.Popen([program, *options], cwd=self._socket.parent, stdout=subprocess.PIPE)
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if b"ready to accept connections" in line.lower():
                return
        raise AssertionError("Redis did not start.")

    def stop(self) -> None:
        """Kill it, as a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None
            self._socket.unlink(missing_ok=True)

    def client(self) -> Redis:
        """A client as the gateway makes it."""
        return redis_client(self.settings)
