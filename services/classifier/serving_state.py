"""What every Classifier worker is to serve, in a file that they share, so that all of them agree.

BentoML gives a service's workers one socket and no way to talk to each other: a request to load a model reaches one of
them. That one writes down what is wanted; the others look at the file many times a second, follow it, and report
how far they have come, each in a file of its own. A run of the server has its own folder, so two servers may share
a model store, and a restart begins with what the store and the settings say.

::

    <BENTOML_HOME>/tandem/serving/<host>-<process manager's pid>-<when it began>/
        wanted.json       `Wanted`, replaced in one step
        lock              held by the worker that changes it, for as long as the change takes
        worker-<pid>      `Report` of one worker
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import socket
from typing import TYPE_CHECKING

import msgspec
import psutil

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_WANTED = "wanted.json"


class WantedModel(msgspec.Struct, frozen=True):
    """The versions of one model that are served, and the one that its bare name stands for."""

    default: str
    versions: tuple[str, ...]


class Wanted(msgspec.Struct, frozen=True):
    """What is to be served. `generation` grows with every change."""

    generation: int
    models: dict[str, WantedModel]
    staged: tuple[str, str] | None = None
    """Name and version that every worker loads, but does not announce yet."""

    def all(self) -> set[tuple[str, str]]:
        """Name and version of everything that a worker should hold."""
        held = {(name, version) for name, model in self.models.items() for version in model.versions}
        return held | ({self.staged} if self.staged else set())

    def staging(self, name: str, version: str) -> Wanted:
        """The same, with one more version that is loaded and not announced."""
        return Wanted(self.generation + 1, self.models, (name, version))

    def serving(self, name: str, model: WantedModel | None) -> Wanted:
        """The same, with these versions of `name`, or none of it."""
        others = {other: kept for other, kept in self.models.items() if other != name}
        return Wanted(self.generation + 1, others if model is None else {**others, name: model})


class Report(msgspec.Struct, frozen=True):
    """How far one worker has come, and what it could not load, as ``name:version`` to reason."""

    generation: int
    failures: dict[str, str] = {}


class ServingState:
    """The shared folder of one run of the server."""

    def __init__(self, folder: Path, worker: int | None = None) -> None:
        """`worker` is the process id that `report` speaks for: this process's own."""
        self._folder = folder
        self._wanted = folder / _WANTED
        self._report = folder / f"worker-{worker or os.getpid()}"
        self._seen: tuple[int, int] | None = None

    @classmethod
    def of_this_run(cls, root: Path) -> ServingState:
        """The folder under `root` of the run that this process belongs to; those of this host's runs that are over go."""
        manager = psutil.Process(os.getppid())
        host = f"{socket.gethostname()}-"
        run = f"{host}{manager.pid}-{manager.create_time():.0f}"
        for folder in root.glob(f"{host}*-*"):
            if folder.name != run and not _runs(folder.name.removeprefix(host)):
                shutil.rmtree(folder, ignore_errors=True)
        return cls(root / run)

    @property
    def run(self) -> str:
        """Name of the run: generations of different runs cannot be compared."""
        return self._folder.name

    def changed(self) -> bool:
        """Whether `read` would return something new since it was last called."""
        return self._stamp() != self._seen

    def read(self) -> Wanted | None:
        """What is wanted; None while nobody has said."""
        self._seen = self._stamp()
        try:
            return msgspec.json.decode(self._wanted.read_bytes(), type=Wanted)
        except FileNotFoundError:
            return None

    def write(self, wanted: Wanted) -> None:
        """Say what is wanted from now on. Only for the holder of `lock`."""
        _replace(self._wanted, msgspec.json.encode(wanted))

    def report(self, report: Report) -> None:
        """Tell the other workers how far this one has come."""
        _replace(self._report, msgspec.json.encode(report))

    def reports(self) -> dict[int, Report]:
        """The reports of the workers that are alive, by process id."""
        reports = {}
        for file in self._folder.glob("worker-*[0-9]"):
            pid = int(file.name.removeprefix("worker-"))
            with contextlib.suppress(FileNotFoundError):
                if psutil.pid_exists(pid):
                    reports[pid] = msgspec.json.decode(file.read_bytes(), type=Report)
                else:
                    file.unlink()
        return reports

    def leave(self) -> None:
        """Take this worker's report away."""
        self._report.unlink(missing_ok=True)

    @contextlib.contextmanager
    def lock(self) -> Iterator[bool]:
        """Within it nobody else changes what is wanted. Yields False, at once, when somebody does just now.

        The system frees the lock of a worker that dies.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / "lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
                return
            yield True

    def _stamp(self) -> tuple[int, int] | None:
        try:
            status = self._wanted.stat()
        except OSError:
            return None
        return status.st_mtime_ns, status.st_ino


def _runs(manager: str) -> bool:
    """Whether the process manager that a run's folder is named after, as ``pid-created``, still lives."""
    pid, _, created = manager.partition("-")
    try:
        return f"{psutil.Process(int(pid)).create_time():.0f}" == created
    except (psutil.Error, ValueError):
        return False


def _replace(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    unfinished.write_bytes(content)
    unfinished.replace(path)
