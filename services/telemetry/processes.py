"""CPU, memory and open files of a server's processes, read from the system when somebody asks."""

from __future__ import annotations

import os
from itertools import pairwise
from typing import TYPE_CHECKING

import psutil
from prometheus_client.registry import Collector

from services.telemetry import definitions
from services.telemetry.exposition import family

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from prometheus_client import Metric

_SERVICE, _WORKER = "--service-name", "--worker-id"
_VLLM = "VLLM::"
Labels = tuple[str, str, str]
Figures = tuple[float, float, float, float]


class ProcessesCollector(Collector):
    """Shows what every process of this server uses: BentoML starts each worker beside this one, under one manager."""

    def __init__(self, manager: int | None = None) -> None:
        """`manager` is the process id of who started them; default: who started this process."""
        self._manager = manager

    def collect(self) -> Iterator[Metric]:
        figures = self._figures()
        for at, definition in enumerate(_SHOWN):
            shown = family(definition)
            for labels, values in figures.items():
                shown.add_metric(labels, values[at])
            yield shown

    def _figures(self) -> Mapping[Labels, Figures]:
        """What processes of the same labels use together; of their start times, the first."""
        found: dict[Labels, Figures] = {}
        try:
            started = psutil.Process(self._manager or os.getppid()).children(recursive=True)
        except psutil.Error:
            return found
        workers: dict[int, tuple[str, str]] = {}
        for process in started:  # parents come before their children
            try:
                labels = _labels(process, workers)
                if labels is not None:
                    used = _used(process)
                    found[labels] = _together(found[labels], used) if labels in found else used
            except psutil.Error:  # it has just ended
                continue
        return found


_SHOWN = (
    definitions.PROCESS_CPU,
    definitions.PROCESS_MEMORY,
    definitions.PROCESS_FILES,
    definitions.PROCESS_START,
)


def _labels(process: psutil.Process, workers: dict[int, tuple[str, str]]) -> Labels | None:
    """Of a worker, which joins `workers` by its process id, and of what a worker has started; None for anything else."""
    command = process.cmdline()
    options = dict(pairwise(command))
    if _SERVICE in options:
        workers[process.pid] = (options[_SERVICE], options.get(_WORKER, "1"))
        return (*workers[process.pid], "worker")
    owner = workers.get(process.ppid())
    if owner is None:
        return None
    workers[process.pid] = owner
    title = " ".join(command)
    return (*owner, title.removeprefix(_VLLM).strip() if title.startswith(_VLLM) else "helper")


def _together(one: Figures, other: Figures) -> Figures:
    return (one[0] + other[0], one[1] + other[1], one[2] + other[2], min(one[3], other[3]))


def _used(process: psutil.Process) -> Figures:
    """CPU seconds, bytes of memory, open files, start time."""
    with process.oneshot():
        times = process.cpu_times()
        return (times.user + times.system, process.memory_info().rss, process.num_fds(), process.create_time())
