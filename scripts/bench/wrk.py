"""One measurement with wrk, the load generator."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scripts.bench.messages import Body

SCRIPT = Path(__file__).with_name("post.lua")
MARK = "bench-result "


class MissingWrkError(Exception):
    """wrk is not installed."""

    def __init__(self) -> None:
        super().__init__("wrk, the load generator, is not installed: `apt-get install wrk`")


@dataclass(frozen=True)
class Outcome:
    """What the clients saw. Latencies in milliseconds; `errors` are answers with status 400 and above."""

    seconds: float
    requests: int
    errors: int
    socket_errors: int
    p50: float
    p90: float
    p99: float
    longest: float
    client_cpu_seconds: float

    @property
    def per_second(self) -> float:
        """Answers a second, errors included."""
        return self.requests / self.seconds


def require() -> str:
    """Path of wrk.

    Raises:
        MissingWrkError: it is not there.

    """
    found = shutil.which("wrk")
    if not found:
        raise MissingWrkError
    return found


def command(
    url: str, body_file: Path, headers: dict[str, str], connections: int, seconds: float, others: Sequence[Path] = ()
) -> list[str]:
    """The command line of wrk: one thread, so that the server has the rest of the machine. `others` are posted by turns with the first."""
    options = ["-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--timeout", "30s", "-s", str(SCRIPT)]
    extra = [*(f"@{path}" for path in others), *(f"{name}={value}" for name, value in headers.items())]
    return [require(), *options, url, "--", str(body_file), *extra]


def measure(url: str, body: Body, name: str, connections: int, seconds: float, others: Sequence[Body] = ()) -> Outcome:
    """Load `url` with `body`, and with `others` by turns, and report; `name` is the bodies' file name.

    Raises:
        RuntimeError: wrk failed.

    """
    more = [one.save(f"{name}-{number}") for number, one in enumerate(others)]
    line = command(url, body.save(name), body.headers, connections, seconds, more)
    before = children_cpu()
    done = subprocess.run(line, capture_output=True, text=True, timeout=seconds + 60, check=False)
    if done.returncode or MARK not in done.stdout:
        raise RuntimeError(f"wrk failed: {(done.stderr or done.stdout).strip()[-400:]}")
    return parse(done.stdout, children_cpu() - before)


def parse(output: str, client_cpu_seconds: float) -> Outcome:
    """The figures that `post.lua` wrote at the end of wrk's output."""
    values = json.loads(output.rsplit(MARK, 1)[1])
    return Outcome(
        seconds=values["duration_us"] / 1e6,
        requests=values["requests"],
        errors=values["status"],
        socket_errors=values["connect"] + values["read"] + values["write"] + values["timeout"],
        p50=values["p50_us"] / 1e3,
        p90=values["p90_us"] / 1e3,
        p99=values["p99_us"] / 1e3,
        longest=values["max_us"] / 1e3,
        client_cpu_seconds=client_cpu_seconds,
    )


def children_cpu() -> float:
    """CPU seconds of all processes that this one has waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def start(url: str, body: Body, name: str, connections: int, seconds: float) -> subprocess.Popen[str]:
    """The same load in the background, for a caller that watches the server meanwhile."""
    line = command(url, body.save(name), body.headers, connections, seconds)
    return subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=dict(os.environ))
