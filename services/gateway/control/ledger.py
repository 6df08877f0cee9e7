"""What limits count in: buckets, charges on them, and what every ledger must do."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Counter = Callable[[float], bytes]
    """Counts one request that comes at a time of `time.monotonic`, and returns what its caller hears of that, as header lines."""
    Guard = Callable[[Callable[[], bytes]], bytes]
    """Calls what may raise Refused or LedgerDown, and returns what the caller hears."""


_TOLD = b"x-ratelimit-limit-{}: %d\r\nx-ratelimit-remaining-{}: %%d\r\nx-ratelimit-reset-{}: %%ds\r\n"
"""Names as OpenAI's."""


@dataclass(frozen=True, slots=True)
class Bucket:
    """One thing with limits; zero stands for no limit."""

    kind: str
    """What it is of: "caller", "caller's model" or "model"."""
    digest: bytes
    """Eight bytes that tell it from others."""
    requests: int
    """A minute."""
    tokens: int
    """A minute."""
    concurrent: int
    told_requests: bytes
    """What callers hear of the limit on requests, as header lines: to be filled in with how many remain, and the seconds until all are there."""
    told_tokens: bytes
    """The same of the limit on tokens."""

    @classmethod
    def of(cls, kind: str, name: str, requests: int | None, tokens: int | None, concurrent: int | None) -> Bucket:
        """A bucket of its `kind` and `name`, which together are unique; None stands for no limit."""
        digest = hashlib.blake2b(f"{kind}\0{name}".encode(), digest_size=8).digest()
        told = (_TOLD.replace(b"{}", what) for what in (b"requests", b"tokens"))
        lines = [line % (limit or 0) for line, limit in zip(told, (requests, tokens), strict=True)]
        return cls(kind, digest, requests or 0, tokens or 0, concurrent or 0, *lines)


class Charge(NamedTuple):
    """What one request takes from a bucket."""

    bucket: Bucket
    requests: int
    tokens: int
    concurrent: int


class Standing(msgspec.Struct, gc=False):
    """How a bucket stands after a charge: what remains, and seconds until all of it is there again."""

    bucket: Bucket
    requests: int
    requests_reset: float
    tokens: int
    tokens_reset: float


class Reserved(msgspec.Struct, gc=False):
    """Charges that were made."""

    since: float
    """When, by the ledger's own clock."""
    lease: str
    standings: Sequence[Standing]
    """How each charge's bucket stands after it."""


class Refused(Exception):
    """A charge does not fit; none of those that came with it was made."""

    def __init__(self, standing: Standing, what: str, wait: float) -> None:
        """`what` is "requests", "tokens" or "concurrent"; `wait` the seconds until it would fit, perhaps infinite."""
        super().__init__(what)
        self.standing = standing
        self.what = what
        self.wait = wait


class LedgerDown(Exception):
    """The ledger cannot be used right now."""


class Tally(Protocol):
    """Where something is counted."""

    pending: int


class Ledger(Protocol):
    """Counts, exactly, for everybody who shares it."""

    @property
    def reserve_now(self) -> Callable[[Sequence[Charge]], Reserved] | None:
        """The same as `reserve`, for less, of a ledger on this machine, which nobody waits for; None of one that is far."""
        ...

    def counter(self, bucket: Bucket, allowed: Tally, guard: Guard) -> Counter | None:
        """What charges one request to a bucket that limits nothing else, for less still; None of a ledger that is far.

        A request that is sure to fit is added to `allowed`, and any other left to `guard`.
        """
        ...

    async def reserve(self, charges: Sequence[Charge]) -> Reserved:
        """Make all of `charges`, or none. No two may be on one bucket. Raises Refused or LedgerDown."""
        ...

    def settle(self, charges: Sequence[Charge], reserved: Reserved) -> None:
        """Add `charges` to what was reserved; negative amounts give back. Now, or as soon as the ledger can be reached."""
        ...

    async def tend(self) -> None:
        """What must be done from time to time. Raises LedgerDown while the ledger cannot be used."""
        ...

    async def close(self) -> None:
        """Let go of everything."""
        ...


class NoLedger:
    """Stands where a ledger should be that cannot be opened: whoever is limited meets the policy for that."""

    def __init__(self, reason: str) -> None:
        self._reason = reason

    def reserve_now(self, charges: Sequence[Charge]) -> Reserved:  # noqa: ARG002 - the protocol's signature
        raise LedgerDown(self._reason)

    def counter(self, bucket: Bucket, allowed: Tally, guard: Guard) -> Counter:  # noqa: ARG002 - the protocol's signature
        def fail() -> bytes:
            raise LedgerDown(self._reason)

        return lambda _: guard(fail)

    async def reserve(self, charges: Sequence[Charge]) -> Reserved:
        return self.reserve_now(charges)

    def settle(self, charges: Sequence[Charge], reserved: Reserved) -> None:
        """Nothing was ever reserved."""

    async def tend(self) -> None:
        """Nothing to do."""

    async def close(self) -> None:
        """Nothing to let go of."""
