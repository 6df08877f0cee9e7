"""A request that was let in: what it may use, what it was charged, and what is given back when it ends."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from services.errors import LimitExceeded
from services.gateway.control.ledger import Charge
from services.gateway.control.limits import Toll, lines_of
from services.gateway.control.work import Work, begin

if TYPE_CHECKING:
    from services.gateway.control.identity import Holder
    from services.gateway.control.ledger import Counter, Reserved, Standing
    from services.gateway.control.limits import Entry, Limits
    from services.gateway.control.tokens import Ask


def uncounted(_: float) -> bytes:
    """Stands where nothing is counted, so that a caller hears nothing of it."""
    return b""


class Passage(Work):
    """How a caller's requests are let in.

    One is enough for all that have no deadline, and no limit but one on their number: it has no state, and is not taken back when one
    ends, for the next begins with another. Where it is not, each request has its `own`.
    """

    holder: Holder | None = None
    key_name: str = ""
    """Name of the key that was used; empty when none was needed."""
    until: float = math.inf
    """When the key expires that it was let in with, in seconds since 1970; it lets nobody in from then on. Zero once keys have changed."""
    is_shared: bool = True
    """Whether it is enough for all."""
    count: Counter = uncounted
    """Counts a request of those that share it."""
    limits: Limits | None = None
    entry: Entry | None = None
    """What the caller is charged for each request; None when nothing limits all that it does."""

    def own(self, deadline: float | None = None, *, is_stream: bool = False) -> OwnPassage:
        """One request's own, until `deadline`; `is_stream` says that it is a stream of requests, which count one by one."""
        entry = self.entry
        passage = OwnPassage(
            deadline,
            self.caller,
            counts=self.counts or is_stream,
            restricted=self.restricted,
            holder=self.holder,
            key_name=self.key_name,
            limits=self.limits,
            entry=entry,
            per_use=is_stream,
        )
        if entry is not None:
            passage.owed = entry.toll_of_stream if is_stream else entry.toll
        return passage

    def begin(self) -> None:
        """From here on this task works for the request."""
        begin(self)

    def allow(self, model: str) -> None:
        if self.holder is not None:
            self.holder.check_model(model)

    async def use(self, model: str, ask: Ask | None = None) -> None:  # noqa: ARG002 - nothing is counted
        self.allow(model)

    async def pay(self) -> None:
        """Charge what the request owes before it begins. Raises LimitExceeded or Unavailable."""

    def told(self) -> bytes:
        """What the caller hears of its limits, as header lines."""
        return b""

    def leave(self) -> None:
        """The request has ended."""


class OwnPassage(Passage):
    """The passage of one request alone: it has a deadline, or is charged and settled. `leave` must follow, whatever becomes of it."""

    is_shared: bool = False
    per_use: bool = False
    """Whether the caller is charged for each use of a model, instead of the request."""
    owed: Toll | None = None
    """What must be charged before it begins."""
    _charged: tuple[tuple[Toll, Reserved], ...] = ()
    _standings: tuple[Standing, ...] = ()
    _settles: bool = False
    """Whether something charged is to be given back or settled."""
    _asked: int = 0
    _used: int | None = None
    _served: bool = False

    async def pay(self) -> None:
        if self.owed is not None:
            await self._charge(self.owed)

    async def use(self, model: str, ask: Ask | None = None) -> None:
        self.allow(model)
        limits = self.limits
        if limits is None or (ask is None and not limits.by_model and not self.per_use):
            self._served = True
            return
        toll = limits.of_model(self.caller, model)
        tokens = ask.tokens if ask is not None else 0
        if tokens or self.per_use:
            toll = self._toll_of(toll, tokens)
        if toll.charges:
            try:
                await self._charge(toll)
            except LimitExceeded:
                if not self._served:
                    self._take_back_requests()
                raise
        self._served = True
        if tokens and any(charge.tokens for charge in toll.charges):
            self.metered = True
            self._asked += tokens

    def used(self, tokens: int) -> None:
        self._used = tokens

    def told(self) -> bytes:
        return lines_of(self._standings) if self._standings else b""

    def leave(self) -> None:
        """Give back what was held, and settle the tokens: what was used, or none for a request that came to nothing."""
        if not self._settles or self.limits is None:
            return
        self._settles = False
        over = (self._used or 0) - self._asked
        for toll, reserved in self._charged:
            settled = toll.settled(over)
            if settled:
                self.limits.ledger.settle(settled, reserved)

    async def _charge(self, toll: Toll) -> None:
        limits = self.limits
        assert limits is not None
        near = limits.near is not None
        reserved = limits.reserve_now(toll.charges) if near else await limits.reserve(toll.charges)
        if reserved is not None:
            self._charged = (*self._charged, (toll, reserved))
            self._standings = (*self._standings, *reserved.standings)
            self._settles = self._settles or toll.settles

    def _toll_of(self, use: Toll, tokens: int) -> Toll:
        """What the use of a model is charged that needs `tokens`, or is one of a stream's."""
        held = not self.per_use
        charges = [
            Charge(bucket, 1, tokens if bucket.tokens else 0, concurrent if held else 0)
            for bucket, _, _, concurrent in use.charges
        ]
        own = self.entry.bucket if self.entry is not None else None
        if own is not None and ((tokens and own.tokens) or self.per_use):
            charges.append(Charge(own, int(self.per_use), tokens if own.tokens else 0, 0))
        return Toll(charges)

    def _take_back_requests(self) -> None:
        """What a model's limit refuses was no request of its caller's."""
        self._standings = ()
        if self.per_use or self.limits is None:
            return
        for toll, reserved in self._charged:
            taken = [Charge(one.bucket, -one.requests, 0, 0) for one in toll.charges if one.requests]
            if taken:
                self.limits.ledger.settle(taken, reserved)
