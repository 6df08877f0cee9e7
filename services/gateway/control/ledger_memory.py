"""A ledger in memory: of this process alone, or in a file that all gateway workers of a machine map and lock.

A bucket's state lies in a slot of fixed size, found by the bucket's digest. The concurrency of each worker is kept apart, so
that what a killed worker held can be given back: a living worker holds the lock on its own place, a dead one does not.
"""

from __future__ import annotations

import struct
import time
from contextlib import nullcontext
from typing import TYPE_CHECKING

from services.gateway.control.ledger import LedgerDown, Refused, Reserved, Standing
from services.gateway.control.rates import MINUTE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager
    from mmap import mmap

    from services.gateway.control.ledger import Bucket, Charge
    from services.gateway.control.rates import Algorithm, State

PLACES = 32
"""Workers that may share a ledger."""
_STATE = struct.Struct("<8s7dq")
_HELD = struct.Struct("<h")
_MOST_HELD = 2**15 - 1
_HELD_AT = _STATE.size
SLOT = _STATE.size + PLACES * _HELD.size
_PROBES = 16
_STALE = 2 * MINUTE
"""Seconds after which nothing of a bucket's past matters."""
_EPSILON = 1e-9
_NEW = b"\0" * SLOT


class MemoryLedger:
    """Buckets in a buffer of slots."""

    def __init__(
        self,
        algorithm: Algorithm,
        buffer: bytearray | mmap,
        *,
        place: int = 0,
        locked: Callable[[], AbstractContextManager[object]] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`place` is this worker's own; `locked()` keeps the others out,
        if there are any. The default clock is the same in all processes of
        a machine, and does not jump.
        """
        self._algorithm = algorithm
        self._buffer = buffer
        self._slots = len(buffer) // SLOT
        self._place = _HELD_AT + place * _HELD.size
        self._locked = locked
        self._clock = clock
        self._found: dict[bytes, int] = {}
        self._owed: list[tuple[Sequence[Charge], Reserved]] = []

    async def reserve(self, charges: Sequence[Charge]) -> Reserved:
        if self._locked is None:
            return self._reserve(charges)
        with self._locked():
            return self._reserve(charges)

    def settle(self, charges: Sequence[Charge], reserved: Reserved) -> None:
        try:
            self._settle(charges, reserved.since)
        except LedgerDown:
            self._owed.append((charges, reserved))

    async def tend(self) -> None:
        """Settle what could not be settled when it should have been."""
        owed, self._owed = self._owed, []
        for charges, reserved in owed:
            self.settle(charges, reserved)

    async def close(self) -> None:
        """Nothing to let go of."""

    def _reserve(self, charges: Sequence[Charge]) -> Reserved:
        now = self._clock()
        if len(charges) == 1:  # on every request's way
            at, record, standing = self._charged(charges[0], now)
            self._write(at, record, charges[0].concurrent)
            return Reserved(now, "", [standing])
        made = [self._charged(charge, now) for charge in charges]
        for (at, record, _), charge in zip(made, charges, strict=True):
            self._write(at, record, charge.concurrent)
        return Reserved(now, "", [standing for _, _, standing in made])

    def _settle(self, charges: Sequence[Charge], since: float) -> None:
        add, roll = self._algorithm.add, self._algorithm.roll
        with self._locked() if self._locked else nullcontext():
            now = self._clock()
            for charge in charges:
                bucket = charge.bucket
                at = self._slot(bucket.digest, now)
                _, _, r0, r1, r2, t0, t1, t2, held = _STATE.unpack_from(self._buffer, at)
                requests, tokens = (r0, r1, r2), (t0, t1, t2)
                if charge.requests and bucket.requests:
                    requests = add(roll(requests, bucket.requests, now)[0], charge.requests, since)
                if charge.tokens and bucket.tokens:
                    tokens = add(roll(tokens, bucket.tokens, now)[0], charge.tokens, since)
                record = (bucket.digest, now, *requests, *tokens, max(0, held + charge.concurrent))
                self._write(at, record, charge.concurrent)

    def forget(self, place: int) -> None:
        """Give back what the worker that had `place` held when it died."""
        at_place = _HELD_AT + place * _HELD.size
        with self._locked() if self._locked else nullcontext():
            for at in range(0, self._slots * SLOT, SLOT):
                (held,) = _HELD.unpack_from(self._buffer, at + at_place)
                if held:
                    record = _STATE.unpack_from(self._buffer, at)
                    _STATE.pack_into(self._buffer, at, *record[:-1], max(0, record[-1] - held))
                    _HELD.pack_into(self._buffer, at + at_place, 0)

    def _charged(self, charge: Charge, now: float) -> tuple[int, tuple[bytes | float, ...], Standing]:
        """The slot of a charge's bucket, what to write there, and how the bucket stands then. Raises Refused."""
        bucket, requests, tokens, concurrent = charge
        at = self._slot(bucket.digest, now)
        _, _, r0, r1, r2, t0, t1, t2, held = _STATE.unpack_from(self._buffer, at)
        by_request: State = (r0, r1, r2)
        by_token: State = (t0, t1, t2)
        left = reset = tokens_left = tokens_reset = 0.0
        if bucket.requests:
            taken = self._algorithm.take(by_request, bucket.requests, requests, now)
            if taken is None:
                raise self._refused(bucket, (by_request, by_token), "requests", requests, now)
            by_request, left, reset = taken
        if bucket.tokens:
            taken = self._algorithm.take(by_token, bucket.tokens, tokens, now)
            if taken is None:
                raise self._refused(bucket, (by_request, by_token), "tokens", tokens, now)
            by_token, tokens_left, tokens_reset = taken
        standing = Standing(bucket, _rest(left), reset, _rest(tokens_left), tokens_reset)
        if concurrent and bucket.concurrent and held + concurrent > bucket.concurrent:
            raise Refused(standing, "concurrent", 1.0)
        return at, (bucket.digest, now, *by_request, *by_token, held + concurrent), standing

    def _refused(self, bucket: Bucket, states: tuple[State, State], what: str, amount: int, now: float) -> Refused:
        """What a caller hears for whom `amount` of `what` does not fit."""
        algorithm = self._algorithm
        stands: list[float] = []
        wait = 0.0
        for name, limit, state in zip(("requests", "tokens"), (bucket.requests, bucket.tokens), states, strict=True):
            rolled, used = algorithm.roll(state, limit, now) if limit else (state, 0.0)
            stands += (_rest(limit - used), algorithm.reset(rolled, limit, now) if limit else 0.0)
            if name == what:
                wait = algorithm.wait(rolled, limit, amount, now)
        return Refused(Standing(bucket, int(stands[0]), stands[1], int(stands[2]), stands[3]), what, wait)

    def _write(self, at: int, record: tuple[bytes | float, ...], concurrent: int) -> None:
        _STATE.pack_into(self._buffer, at, *record)
        if concurrent:
            place = at + self._place
            (own,) = _HELD.unpack_from(self._buffer, place)
            _HELD.pack_into(self._buffer, place, min(_MOST_HELD, max(0, own + concurrent)))

    def _slot(self, digest: bytes, now: float) -> int:
        """Where the bucket's slot is; a new or stale one is taken when it has none. Raises LedgerDown when all are taken."""
        buffer = self._buffer
        at = self._found.get(digest)
        if at is not None and buffer[at : at + 8] == digest:
            return at
        first = int.from_bytes(digest, "little")
        unused = None
        for probe in range(_PROBES):
            at = (first + probe) % self._slots * SLOT
            if buffer[at : at + 8] == digest:
                break
            if unused is None and self._is_free(at, now):
                unused = at
        else:
            if unused is None:
                raise LedgerDown("The ledger is full: raise limits.ledger_slots.")
            at = unused
            buffer[at : at + SLOT] = _NEW
            _STATE.pack_into(buffer, at, digest, now, 0, 0, 0, 0, 0, 0, 0)
        if len(self._found) > self._slots:
            self._found.clear()
        self._found[digest] = at
        return at

    def _is_free(self, at: int, now: float) -> bool:
        record = _STATE.unpack_from(self._buffer, at)
        return record[0] == _NEW[:8] or (not record[-1] and now - record[1] > _STALE)


def _rest(left: float) -> int:
    return int(left + _EPSILON) if left > 0 else 0
