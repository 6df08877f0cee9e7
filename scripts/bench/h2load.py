"""One measurement of a gRPC method with h2load, the load generator of nghttp2.

h2load knows HTTP/2 and not gRPC, whose errors are trailers under HTTP status 200. Every request is the same, hence every good
answer as long: what the answers hold together tells how many were none.
"""

from __future__ import annotations

import math
import re
import shutil
import subprocess
from functools import partial
from typing import TYPE_CHECKING

from scripts.bench import messages
from scripts.bench.environments import Unavailable
from scripts.bench.wrk import Outcome, children_cpu

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from scripts.bench.messages import Body

_CALIBRATION = 0.3
"""Seconds of load, about, that tell how many requests fill a measurement."""
_COUNTS = re.compile(r"^requests: \d+ total, \d+ started, (\d+) done, (\d+) succeeded", re.MULTILINE)
_SECONDS = re.compile(r"^finished in ([\d.]+)(us|ms|s),", re.MULTILINE)
_DATA = re.compile(r"^traffic: .*, [\d.]+[A-Z]*B \((\d+)\) data$", re.MULTILINE)
_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0}


def require() -> str:
    """Path of h2load.

    Raises:
        Unavailable: it is not there.

    """
    found = shutil.which("h2load")
    if not found:
        raise Unavailable("h2load, which loads gRPC servers, is not installed: `apt-get install nghttp2-client`")
    return found


def ready(url: str, body: Body, name: str, connections: int, seconds: float) -> Callable[[], Outcome]:
    """What calls the method at `url` with `body` for about `seconds`, one call under way a connection.

    A short load comes first: it tells how many requests that takes. h2load can also stop by the clock, but then breaks off
    answers, and failures could no longer be counted.

    Raises:
        RuntimeError: h2load failed, or the method does not answer.

    """
    answer = messages.call(url, body)
    if answer is None:
        raise RuntimeError(f"{url} does not answer")
    file, log = body.save(name), body.save(f"{name}.log")
    run = partial(_run, url, file, log, body.headers, connections, messages.PREFIX + len(answer))
    count, outcome = 0, run(4 * connections)
    while outcome.seconds < _CALIBRATION and outcome.requests > count:
        count = outcome.requests
        outcome = run(max(2 * count, round(outcome.per_second * _CALIBRATION)))
    return partial(run, max(connections, round(outcome.per_second * seconds)))


def _run(
    url: str, file: Path, log: Path, headers: dict[str, str], connections: int, answer_size: int, requests: int
) -> Outcome:
    log.unlink(missing_ok=True)  # h2load appends
    options = ["-t1", "-m1", f"-c{connections}", f"-n{requests}", "-d", str(file), f"--log-file={log}"]
    extra = [part for pair in headers.items() for part in ("-H", ": ".join(pair))]
    before = children_cpu()
    done = subprocess.run([require(), *options, *extra, url], capture_output=True, text=True, timeout=600, check=False)
    if done.returncode:
        raise RuntimeError(f"h2load failed: {(done.stderr or done.stdout).strip()[-400:]}")
    return parse(done.stdout, log.read_text(), requests, answer_size, children_cpu() - before)


def parse(output: str, log: str, requests: int, answer_size: int, client_cpu_seconds: float) -> Outcome:
    """The figures in h2load's output, and in its log: start, status and microseconds of each request."""
    counts, took, data = _COUNTS.search(output), _SECONDS.search(output), _DATA.search(output)
    latencies = sorted(int(line.split("\t")[2]) for line in log.splitlines())
    if counts is None or took is None or data is None or not latencies:
        raise RuntimeError(f"h2load said nothing that can be read: {output.strip()[-400:]}")
    done, succeeded = int(counts[1]), int(counts[2])
    missing = abs(done * answer_size - int(data[1]))
    return Outcome(
        seconds=float(took[1]) * _UNITS[took[2]],
        requests=done,
        errors=max(done - succeeded, math.ceil(missing / answer_size)),
        socket_errors=requests - done,
        p50=_percentile(latencies, 0.5),
        p90=_percentile(latencies, 0.9),
        p99=_percentile(latencies, 0.99),
        longest=latencies[-1] / 1e3,
        client_cpu_seconds=client_cpu_seconds,
    )


def _percentile(latencies: list[int], share: float) -> float:
    """Milliseconds; `latencies` are sorted microseconds."""
    return latencies[min(len(latencies) - 1, math.ceil(share * len(latencies)) - 1)] / 1e3
