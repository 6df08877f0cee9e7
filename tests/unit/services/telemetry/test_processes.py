from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import psutil
import pytest

from services.telemetry.processes import ProcessesCollector

if TYPE_CHECKING:
    from collections.abc import Iterator

_WORK = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "print(1, flush=True); input()"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
child.stdout.readline()
end = time.process_time() + 0.05
while time.process_time() < end: pass
print("up", flush=True)
input()
child.stdin.close()
child.wait()
"""


@pytest.fixture
def worker() -> Iterator[subprocess.Popen[str]]:
    """A process that looks like BentoML's second worker of a service, with a child of its own; started by this one."""
    command = [sys.executable, "-c", _WORK, "--service-name", "Classifier", "--worker-id", "2"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        yield process
        process.communicate("\n")


def figures(manager: int) -> dict[str, dict[tuple[str, ...], float]]:
    return {
        family.name: {tuple(sample.labels.values()): sample.value for sample in family.samples}
        for family in ProcessesCollector(manager).collect()
    }


def test_workers_and_their_children_are_told_by_service(worker: subprocess.Popen[str]) -> None:
    told = figures(os.getpid())
    own, helper = ("Classifier", "2", "worker"), ("Classifier", "2", "helper")
    assert told["tandem_process_cpu_seconds"][own] >= 0.05
    assert told["tandem_process_resident_memory_bytes"][own] > 2**20
    assert told["tandem_process_open_fds"][own] >= 3
    assert told["tandem_process_start_time_seconds"][own] == pytest.approx(time.time(), abs=300)
    assert helper in told["tandem_process_resident_memory_bytes"]
    assert {labels[0] for labels in told["tandem_process_open_fds"]} == {"Classifier"}
    assert psutil.pid_exists(worker.pid)


def test_without_a_manager_there_is_nothing_to_tell() -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    assert all(not figures for figures in figures(gone.pid).values())
