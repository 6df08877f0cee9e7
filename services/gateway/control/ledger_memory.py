"""A ledger of one process alone; `ledger_file.py` shares one among the gateway workers of a machine."""

from __future__ import annotations

import time
from functools import partial
from math import ceil
from typing import TYPE_CHECKING, Protocol

from services.gateway.control.ledger import LedgerDown, Refused, Reserved, Standing
from services.gateway.control.rates import MINUTE, State

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from services.gateway.control.ledger import Bucket, Charge, Counter, Guard, Tally
    from services.gateway.control.rates import Algorithm

Record = tuple[State, State, int, float]
"""What is known of a bucket: how its requests and tokens stand, how many requests are under way, and as of when."""

NEW: Record = ((0.0, 0.0, 0.0), (0.0, 0.0, 0.0), 0, 0.0)
"""Of a bucket that was never seen."""
STALE_SECONDS = 2 * MINUTE
"""After which nothing of a bucket's past matters."""
PROBES = 16
_EPSILON = 1e-9
_STRETCH_SECONDS = 0.02
"""How long requests are counted ahead of a record; also how far behind what callers hear of time may be."""
_MOST_STRETCHES = 1000
"""Buckets with such a stretch, after which all records catch up."""


class Records(Protocol):
    """Where records are kept."""

    def get(self, digest: bytes, /) -> Record | None:
        """What is known of a bucket, if anything is."""
        ...

    def begin(self, digest: bytes, now: float) -> Record:
        """A place for a bucket that has none. Raises LedgerDown when all places are taken."""
        ...

    def __setitem__(self, digest: bytes, record: Record, /) -> None:
        """Keep the record of a bucket that has a place."""
        ...


class _Memory(dict[bytes, Record]):
    """A dictionary that holds so many."""

    def __init__(self, slots: int) -> None:
        super().__init__()
        self._slots = slots

    def begin(self, digest: bytes, now: float) -> Record:
        if len(self) >= self._slots:
            self._make_room(now)
        record = self[digest] = (*NEW[:3], now)
        return record

    def _make_room(self, now: float) -> None:
        """Forget a stale bucket. Those that are seen not to be come last from then on, so that each has its turn."""
        for _ in range(min(PROBES, len(self))):
            digest = next(iter(self))
            record = self.pop(digest)
            if is_stale(record, now):
                return
            self[digest] = record
        raise LedgerDown("The ledger is full: raise limits.ledger_slots.")


class _Stretch:
    """A moment in which requests of one bucket are counted ahead of its record: as many as remained when it began, which are sure to fit.

    Whoever else looks at the bucket makes the record catch up before. It ends with the minute at the latest, for which its requests count;
    what wears off meanwhile shows when it has ended.
    """

    __slots__ = ("bucket", "left", "reset", "since", "sure", "told", "until")

    def __init__(self, bucket: Bucket) -> None:
        self.bucket = bucket
        self.since = self.until = self.reset = 0.0
        self.sure = self.left = 0
        self.told = b""
        """What a caller hears but for how many requests remain, where the time until all are there is the same for all of it."""


class MemoryLedger:
    """Records of buckets by their digests."""

    def __init__(
        self,
        algorithm: Algorithm,
        slots: int,
        records: Records | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Keeps `slots` buckets apart at once, in `records` or else here. The default clock is the same in all processes of a
        machine, and does not jump; the times that counters are given are of the same one.
        """
        self._algorithm = algorithm
        self._take = algorithm.take
        self._clock = clock
        self._records: Records = _Memory(slots) if records is None else records
        self._stretches: dict[bytes, _Stretch] = {}

    def reserve_now(self, charges: Sequence[Charge]) -> Reserved:
        now = self._clock()
        if len(charges) == 1:  # on every request's way
            record, standing = self._charged(charges[0], now)
            self._records[standing.bucket.digest] = record
            return Reserved(now, "", (standing,))
        made = [self._charged(charge, now) for charge in charges]
        for record, standing in made:
            self._records[standing.bucket.digest] = record
        return Reserved(now, "", [standing for _, standing in made])

    def counter(self, bucket: Bucket, allowed: Tally, guard: Guard) -> Counter:
        stretch, delay = _Stretch(bucket), self._algorithm.delay(bucket.requests)
        begin = partial(self._begin, stretch)

        def count(now: float) -> bytes:
            left = stretch.left - 1
            if left < 0 or now >= stretch.until:
                return guard(begin)
            stretch.left = left
            allowed.pending += 1
            if delay:
                return bucket.told_requests % (left, ceil(stretch.reset + (stretch.sure - left) * delay))
            return stretch.told % left

        return count

    async def reserve(self, charges: Sequence[Charge]) -> Reserved:
        return self.reserve_now(charges)

    def settle(self, charges: Sequence[Charge], reserved: Reserved) -> None:
        add, roll = self._algorithm.add, self._algorithm.roll
        now = self._clock()
        for charge in charges:
            bucket = charge.bucket
            self._catch_up(bucket.digest)
            by_request, by_token, held, _ = self._records.get(bucket.digest) or self._records.begin(bucket.digest, now)
            if charge.requests and bucket.requests:
                by_request = add(roll(by_request, bucket.requests, now)[0], charge.requests, reserved.since)
            if charge.tokens and bucket.tokens:
                by_token = add(roll(by_token, bucket.tokens, now)[0], charge.tokens, reserved.since)
            self._records[bucket.digest] = (by_request, by_token, max(0, held + charge.concurrent), now)

    async def tend(self) -> None:
        """Nothing to do."""

    async def close(self) -> None:
        """Nothing to let go of."""

    def _begin(self, stretch: _Stretch) -> bytes:
        """Charge one request to the bucket of `stretch`, and let those that are sure to fit as well follow for less; what the caller
        of the first hears. Raises Refused.
        """
        digest = stretch.bucket.digest
        self._catch_up(digest)
        if len(self._stretches) >= _MOST_STRETCHES:
            for other in tuple(self._stretches):
                self._catch_up(other)
        now, stretch.sure, stretch.reset = self._charge_one(stretch.bucket)
        stretch.left = stretch.sure
        stretch.since, stretch.until = now, now + min(_STRETCH_SECONDS, MINUTE - now % MINUTE)
        stretch.told = stretch.bucket.told_requests.replace(b"%ds", b"%ds" % ceil(stretch.reset))
        self._stretches[digest] = stretch
        return stretch.told % stretch.sure

    def _charge_one(self, bucket: Bucket) -> tuple[float, int, float]:
        """Charge one request to a bucket that limits nothing else: when, how many remain, and the seconds until all are there."""
        now = self._clock()
        by_request, by_token, held, _ = self._records.get(bucket.digest) or self._records.begin(bucket.digest, now)
        taken = self._take(by_request, bucket.requests, 1, now)
        if taken is None:
            raise self._refused(bucket, (by_request, by_token), "requests", 1, now)
        by_request, left, reset = taken
        self._records[bucket.digest] = (by_request, by_token, held, now)
        return now, _rest(left), reset

    def _catch_up(self, digest: bytes) -> None:
        """Put into the record of a bucket what was counted ahead of it."""
        stretch = self._stretches.pop(digest, None)
        if stretch is None:
            return
        taken, stretch.sure, stretch.left = stretch.sure - stretch.left, 0, 0
        record = self._records.get(digest) if taken else None
        if record is not None:
            by_request, by_token, held, seen = record
            self._records[digest] = (self._algorithm.add(by_request, taken, stretch.since), by_token, held, seen)

    def _charged(self, charge: Charge, now: float) -> tuple[Record, Standing]:
        """The record of a charge's bucket after it, and how the bucket stands then. Raises Refused."""
        bucket, requests, tokens, concurrent = charge
        self._catch_up(bucket.digest)
        by_request, by_token, held, _ = self._records.get(bucket.digest) or self._records.begin(bucket.digest, now)
        reset = tokens_reset = 0.0
        rest = tokens_rest = 0
        if bucket.requests:
            taken = self._take(by_request, bucket.requests, requests, now)
            if taken is None:
                raise self._refused(bucket, (by_request, by_token), "requests", requests, now)
            by_request, left, reset = taken
            rest = int(left + _EPSILON) if left > 0 else 0
        if bucket.tokens:
            taken = self._take(by_token, bucket.tokens, tokens, now)
            if taken is None:
                raise self._refused(bucket, (by_request, by_token), "tokens", tokens, now)
            by_token, left, tokens_reset = taken
            tokens_rest = _rest(left)
        standing = Standing(bucket, rest, reset, tokens_rest, tokens_reset)
        if concurrent and bucket.concurrent and held + concurrent > bucket.concurrent:
            raise Refused(standing, "concurrent", 1.0)
        return (by_request, by_token, held + concurrent, now), standing

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


def is_stale(record: Record, now: float) -> bool:
    """Whether nothing of a bucket matters any more."""
    return not record[2] and now - record[3] > STALE_SECONDS


def _rest(left: float) -> int:
    return int(left + _EPSILON) if left > 0 else 0
