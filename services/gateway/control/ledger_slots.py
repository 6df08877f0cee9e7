"""The records of a ledger in a buffer that several processes map.

A bucket's record lies in a slot of fixed size, found by the bucket's digest. What each worker has under way is noted apart, so
that it can be given back when the worker dies. Whoever reads or writes holds the lock.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from services.gateway.control.ledger import LedgerDown
from services.gateway.control.ledger_memory import NEW, PROBES, is_stale

if TYPE_CHECKING:
    from mmap import mmap

    from services.gateway.control.ledger_memory import Record

PLACES = 32
"""Workers that may share a ledger."""
_RECORD = struct.Struct("<8s7dq")
_HELD = struct.Struct("<h")
_MOST_HELD = 2**15 - 1
_HELD_AT = _RECORD.size
SLOT = _RECORD.size + PLACES * _HELD.size
_NOBODY = b"\0" * 8


class Slots:
    """Records by digest, for the worker that has one of the places."""

    def __init__(self, buffer: mmap, place: int) -> None:
        self._buffer = buffer
        self._slots = len(buffer) // SLOT
        self._own = _HELD_AT + place * _HELD.size
        self._found: dict[bytes, int] = {}

    def get(self, digest: bytes) -> Record | None:
        at = self._at(digest)
        return None if at is None else self._read(at)

    def begin(self, digest: bytes, now: float) -> Record:
        for at in self._probes(digest):
            if self._buffer[at : at + 8] == _NOBODY or is_stale(self._read(at), now):
                break
        else:
            raise LedgerDown("The ledger is full: raise limits.ledger_slots.")
        record = (*NEW[:3], now)
        self._buffer[at : at + SLOT] = bytes(SLOT)
        self._write(at, digest, record)
        return record

    def __setitem__(self, digest: bytes, record: Record) -> None:
        at = self._at(digest)
        assert at is not None
        more = record[2] - self._read(at)[2]
        self._write(at, digest, record)
        if more:
            own = at + self._own
            (held,) = _HELD.unpack_from(self._buffer, own)
            _HELD.pack_into(self._buffer, own, min(_MOST_HELD, max(0, held + more)))

    def forget(self, place: int) -> None:
        """Give back what the worker that had `place` held when it died."""
        at_place = _HELD_AT + place * _HELD.size
        for at in range(0, self._slots * SLOT, SLOT):
            (held,) = _HELD.unpack_from(self._buffer, at + at_place)
            if held:
                by_request, by_token, all_held, seen = self._read(at)
                digest = self._buffer[at : at + 8]
                self._write(at, digest, (by_request, by_token, max(0, all_held - held), seen))
                _HELD.pack_into(self._buffer, at + at_place, 0)

    def _at(self, digest: bytes) -> int | None:
        """Where the bucket's slot is; None when it has none."""
        buffer = self._buffer
        at = self._found.get(digest)
        if at is not None and buffer[at : at + 8] == digest:
            return at
        for probe in self._probes(digest):
            if buffer[probe : probe + 8] == digest:
                if len(self._found) > self._slots:
                    self._found.clear()
                self._found[digest] = probe
                return probe
        return None

    def _probes(self, digest: bytes) -> list[int]:
        """Where the bucket's slot may be."""
        first = int.from_bytes(digest, "little")
        return [(first + probe) % self._slots * SLOT for probe in range(PROBES)]

    def _read(self, at: int) -> Record:
        _, seen, r0, r1, r2, t0, t1, t2, held = _RECORD.unpack_from(self._buffer, at)
        return (r0, r1, r2), (t0, t1, t2), held, seen

    def _write(self, at: int, digest: bytes, record: Record) -> None:
        by_request, by_token, held, seen = record
        _RECORD.pack_into(self._buffer, at, digest, seen, *by_request, *by_token, held)
