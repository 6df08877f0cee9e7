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
            workers = psutil.Process(self._manager or os.getppid()).children()
        except psutil.Error:
            return found
        for worker in workers:
            for process, labels in _family_of(worker):
                try:
                    used = _used(process)
                except psutil.Error:  # it has just ended
                    continue
                known = found.get(labels)
                found[labels] = (
                    used
                    if known is None
                    else (known[0] + used[0], known[1] + used[1], known[2] + used[2], min(known[3], used[3]))
                )
        return found


_SHOWN = (
    definitions.PROCESS_CPU,
    definitions.PROCESS_MEMORY,
    definitions.PROCESS_FILES,
    definitions.PROCESS_START,
)


def _family_of(worker: psutil.Process) -> Iterator[tuple[psutil.Process, Labels]]:
    """A worker and the processes that it started; nothing for what is no worker of a service."""
    try:
        command = worker.cmdline()
        children = worker.children(recursive=True)
    except psutil.Error:
        return
    service = _after(_SERVICE, command)
    if not service:
        return
    index = _after(_WORKER, command) or "1"
    yield worker, (service, index, "worker")
    for child in children:
        yield child, (service, index, _name(child))


def _after(option: str, command: list[str]) -> str:
    """The value of an option on a command line; empty where there is none."""
    return dict(pairwise(command)).get(option, "")


def _name(child: psutil.Process) -> str:
    """What vLLM calls a process of its own; anything else is a helper."""
    try:
        title = " ".join(child.cmdline())
    except psutil.Error:
        return "helper"
    return title.removeprefix(_VLLM).strip() if title.startswith(_VLLM) else "helper"


def _used(process: psutil.Process) -> Figures:
    """CPU seconds, bytes of memory, open files, start time."""
    with process.oneshot():
        times = process.cpu_times()
        return (times.user + times.system, process.memory_info().rss, process.num_fds(), process.create_time())
