"""The file through which the gateway workers of one machine share a ledger.

A living worker holds the lock on its own place, a dead one does not: what it held is given back.

Measured (`docs/security.md`): a lock and its release cost under two microseconds, SQLite a hundred times that. The kernel releases
the lock of a process that dies; one that is stopped while it holds it makes the ledger count as down.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import stat
import tempfile
import time
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING

from services.gateway.control.ledger import LedgerDown
from services.gateway.control.ledger_memory import MemoryLedger
from services.gateway.control.ledger_slots import PLACES, SLOT, Slots

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

    from services.gateway.control.ledger import Bucket, Charge, Counter, Guard, Reserved, Tally
    from services.gateway.control.rates import Algorithm

_LOCK_SECONDS = 0.05


class FileLock:
    """Keeps other processes out for the length of a `with`. Raises LedgerDown when it cannot be had."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def __enter__(self) -> None:
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._insist()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def _insist(self) -> None:
        """The others hold it for microseconds."""
        until = time.monotonic() + _LOCK_SECONDS
        while time.monotonic() < until:
            os.sched_yield()
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            return
        raise LedgerDown("Another process does not let go of the ledger.")


class FileLedger(MemoryLedger):
    """A ledger in a file, for all processes that open the same one with as many slots."""

    def __init__(
        self, algorithm: Algorithm, path: Path, slots: int, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Raises LedgerDown when `path` belongs to another ledger or somebody else."""
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        lock = FileLock(self._descriptor)
        size = slots * SLOT
        with lock:
            found = os.fstat(self._descriptor)
            if found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o077:
                raise LedgerDown(f"{path} belongs to somebody else.")
            if found.st_size not in {0, size}:
                raise LedgerDown(f"{path} is a ledger of another size.")
            os.ftruncate(self._descriptor, size)
        self._places = [Path(f"{path}.{place}") for place in range(PLACES)]
        self._place, self._own = self._claim()
        self._shared = Slots(mmap.mmap(self._descriptor, size), self._place)
        super().__init__(algorithm, slots, self._shared, clock=clock)
        self._lock = lock
        self._owed: list[tuple[Sequence[Charge], Reserved]] = []
        self._forget(self._place)

    def reserve_now(self, charges: Sequence[Charge]) -> Reserved:
        with self._lock:
            return super().reserve_now(charges)

    def counter(self, bucket: Bucket, allowed: Tally, guard: Guard) -> Counter:  # noqa: ARG002 - `guard` counts
        """Not ahead of the record, which is everybody's."""
        lock, charge_one = self._lock, self._charge_one

        def count() -> bytes:
            with lock:
                _, left, reset = charge_one(bucket)
            return bucket.told_requests % (left, ceil(reset))

        return lambda _: guard(count)

    def settle(self, charges: Sequence[Charge], reserved: Reserved) -> None:
        try:
            with self._lock:
                super().settle(charges, reserved)
        except LedgerDown:
            self._owed.append((charges, reserved))

    async def tend(self) -> None:
        """Settle what could not be settled when it should have been, and give back what workers held that died."""
        owed, self._owed = self._owed, []
        for charges, reserved in owed:
            self.settle(charges, reserved)
        for place, path in enumerate(self._places):
            if place == self._place or not path.exists():
                continue
            descriptor = _locked(path)
            if descriptor is not None:
                self._forget(place)
                path.unlink(missing_ok=True)
                os.close(descriptor)

    async def close(self) -> None:
        os.close(self._own)
        os.close(self._descriptor)

    def _forget(self, place: int) -> None:
        with self._lock:
            self._shared.forget(place)

    def _claim(self) -> tuple[int, int]:
        for place, path in enumerate(self._places):
            descriptor = _locked(path)
            if descriptor is not None:
                return place, descriptor
        raise LedgerDown(f"More than {PLACES} workers share a ledger.")


def _locked(path: Path) -> int | None:
    """A descriptor that holds the lock on `path`; None when a living process does."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(descriptor).st_nlink:
            return descriptor
    except BlockingIOError:
        pass
    os.close(descriptor)
    return None


def server_ledger_path(slots: int) -> Path:
    """Where the workers of this server, which have one parent, share a ledger; leftovers of servers that ended are removed."""
    folder = Path(tempfile.gettempdir()) / f"tandem-{os.geteuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    for path in folder.glob("ledger-*"):
        owner = path.name.split("-")[1]
        if owner.isdigit() and not _lives(int(owner)):
            path.unlink(missing_ok=True)
    return folder / f"ledger-{os.getppid()}-{slots}"


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
