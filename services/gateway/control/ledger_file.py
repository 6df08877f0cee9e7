"""The file through which the gateway workers of one machine share a ledger.

A bucket's record lies in a slot of fixed size, found by the bucket's digest. The concurrency of each worker is kept apart, so
that what a killed worker held can be given back: a living worker holds the lock on its own place, a dead one does not.

Measured (`docs/security.md`): a lock and its release cost under two microseconds, SQLite a hundred times that. The kernel releases
the lock of a process that dies; one that is stopped while it holds it makes the ledger count as down.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import stat
import struct
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from services.gateway.control.ledger import LedgerDown
from services.gateway.control.ledger_memory import NEW, PROBES, MemoryLedger, is_stale

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

    from services.gateway.control.ledger import Charge, Reserved
    from services.gateway.control.ledger_memory import Record
    from services.gateway.control.rates import Algorithm

PLACES = 32
"""Workers that may share a ledger."""
_RECORD = struct.Struct("<8s7dq")
_HELD = struct.Struct("<h")
_MOST_HELD = 2**15 - 1
_HELD_AT = _RECORD.size
SLOT = _RECORD.size + PLACES * _HELD.size
_NOBODY = b"\0" * 8
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
        super().__init__(algorithm, slots, clock=clock)
        self._buffer = mmap.mmap(self._descriptor, size)
        self._lock = lock
        self._found: dict[bytes, int] = {}
        self._owed: list[tuple[Sequence[Charge], Reserved]] = []
        self._forget(self._place)

    def reserve_now(self, charges: Sequence[Charge]) -> Reserved:
        with self._lock:
            return super().reserve_now(charges)

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

    def _load(self, digest: bytes, now: float) -> Record:
        return self._read(self._slot(digest, now))

    def _store(self, charge: Charge, record: Record) -> None:
        digest = charge.bucket.digest
        at = self._slot(digest, record[3])
        self._write(at, digest, record)
        if charge.concurrent:
            own = at + _HELD_AT + self._place * _HELD.size
            (held,) = _HELD.unpack_from(self._buffer, own)
            _HELD.pack_into(self._buffer, own, min(_MOST_HELD, max(0, held + charge.concurrent)))

    def _slot(self, digest: bytes, now: float) -> int:
        """Where the bucket's slot is; a new or stale one is taken when it has none. Raises LedgerDown when all are taken."""
        buffer = self._buffer
        at = self._found.get(digest)
        if at is not None and buffer[at : at + 8] == digest:
            return at
        first = int.from_bytes(digest, "little")
        unused = None
        for probe in range(PROBES):
            at = (first + probe) % self._slots * SLOT
            if buffer[at : at + 8] == digest:
                break
            if unused is None and (buffer[at : at + 8] == _NOBODY or is_stale(self._read(at), now)):
                unused = at
        else:
            if unused is None:
                raise LedgerDown("The ledger is full: raise limits.ledger_slots.")
            at = unused
            buffer[at : at + SLOT] = bytes(SLOT)
            self._write(at, digest, (*NEW[:3], now))
        if len(self._found) > self._slots:
            self._found.clear()
        self._found[digest] = at
        return at

    def _read(self, at: int) -> Record:
        _, seen, r0, r1, r2, t0, t1, t2, held = _RECORD.unpack_from(self._buffer, at)
        return (r0, r1, r2), (t0, t1, t2), held, seen

    def _write(self, at: int, digest: bytes, record: Record) -> None:
        by_request, by_token, held, seen = record
        _RECORD.pack_into(self._buffer, at, digest, seen, *by_request, *by_token, held)

    def _forget(self, place: int) -> None:
        """Give back what the worker that had `place` held when it died."""
        at_place = _HELD_AT + place * _HELD.size
        with self._lock:
            for at in range(0, self._slots * SLOT, SLOT):
                (held,) = _HELD.unpack_from(self._buffer, at + at_place)
                if held:
                    by_request, by_token, all_held, seen = self._read(at)
                    record = (by_request, by_token, max(0, all_held - held), seen)
                    self._write(at, self._buffer[at : at + 8], record)
                    _HELD.pack_into(self._buffer, at + at_place, 0)

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
