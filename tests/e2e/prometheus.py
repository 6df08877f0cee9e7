"""A real Prometheus, from Debian's package, that looks at a server every second."""

from __future__ import annotations

import shutil
import subprocess
import time
from typing import TYPE_CHECKING, Any

import httpx
import psutil
import yaml

from tests.e2e.server import free_port
from tests.monitoring import RULES

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PROGRAM = shutil.which("prometheus")
START_SECONDS = 60.0


class Prometheus:
    """One process, from start to stop, with the rules that ship."""

    def __init__(self, folder: Path, target: str) -> None:
        """Scrape the `host:port` that is `target`; data and log go to `folder`."""
        assert PROGRAM is not None
        port = free_port()
        config = {
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(RULES)],
            "scrape_configs": [{"job_name": "tandem", "static_configs": [{"targets": [target]}]}],
        }
        (folder / "prometheus.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
        self._log = folder / "prometheus.log"
        with self._log.open("wb") as output:
            self._process = subprocess.Popen(
                [
                    PROGRAM,
                    f"--config.file={folder / 'prometheus.yaml'}",
                    f"--storage.tsdb.path={folder / 'data'}",
                    f"--web.listen-address=127.0.0.1:{port}",
                ],
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self._http = httpx.Client(base_url=f"http://127.0.0.1:{port}/api/v1", timeout=30)

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The series that `expression` gives now."""
        answer = self._http.get("/query", params={"query": expression}).json()
        assert answer["status"] == "success", (expression, answer)
        found: list[dict[str, Any]] = answer["data"]["result"]
        return found

    def value(self, expression: str) -> float:
        """The value of an expression with one series; 0 where it has none."""
        found = self.query(expression)
        assert len(found) < 2, found
        return float(found[0]["value"][1]) if found else 0.0

    def get(self, path: str) -> Any:
        """The data at a path of the HTTP API."""
        return self._http.get(path).json()["data"]

    def wait_for(self, condition: Callable[[], Any], seconds: float = START_SECONDS) -> Any:
        """The first true value of `condition`, which is asked every quarter of a second."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            assert self._process.poll() is None, self._log.read_text(encoding="utf-8")
            try:
                value = condition()
            except httpx.TransportError:
                value = None
            if value:
                return value
            time.sleep(0.25)
        raise AssertionError(f"Not within {seconds:g} s:\n{self._log.read_text(encoding='utf-8')[-2000:]}")

    def stop(self) -> None:
        """Stop it."""
        self._http.close()
        process = psutil.Process(self._process.pid)
        process.terminate()
        self._process.wait(30)
