"""A request that was let in: what it may use, what it was charged, and what is given back when it ends."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar

from services.errors import LimitExceeded
from services.gateway.control.ledger import Charge
from services.gateway.control.limits import headers_of
from services.gateway.control.work import Work, begin, end

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextvars import Token

    from services.gateway.control.identity import Holder
    from services.gateway.control.ledger import Reserved, Standing
    from services.gateway.control.limits import Entry, Limits, Use
    from services.gateway.control.tokens import Ask


class Passage(Work):
    """A request that was let in. `leave` must follow, whatever becomes of it.

    This one has no state: the requests with one key share it as long as they have no deadline, and no limit but one on their number. It
    is not taken back when one ends, for the next begins with another.
    """

    holder: Holder | None = None
    is_shared: ClassVar[bool] = True
    """Whether other requests of the caller may use it as well."""
    key_name: str = ""
    """Name of the key that was used; empty when none was needed."""
    until: float = math.inf
    """When the key expires that it was let in with, in seconds since 1970; it lets nobody in from then on. Zero once keys have changed."""
    count: Callable[[], bytes] = bytes
    """Counts a request of those that share it, and returns what its caller hears of that; see `Limits.counter`."""
    owed: Sequence[Charge] = ()
    """What must be charged before it begins."""
    limits: Limits | None = None
    entry: Entry | None = None
    """What the caller is charged for each request; None when nothing limits all that it does."""

    def begin(self) -> None:
        """From here on this task works for the request."""
        begin(self)

    async def charge(self, charges: Sequence[Charge]) -> None:
        """Make `charges`. Raises LimitExceeded or Unavailable."""

    def allow(self, model: str) -> None:
        if self.holder is not None:
            self.holder.check_model(model)

    async def use(self, model: str, ask: Ask | None = None) -> None:  # noqa: ARG002 - nothing is counted
        self.allow(model)

    def headers(self) -> Sequence[tuple[bytes, bytes]]:
        """What the caller hears of its limits."""
        return ()

    def leave(self) -> None:
        """The request has ended."""


class OwnPassage(Passage):
    """The passage of one request alone: it has a deadline, or is charged and settled."""

    is_shared: ClassVar[bool] = False
    per_use: bool = False
    """Whether the caller is charged for each use of a model, instead of the request."""
    settles: bool = False
    """Whether something charged is to be given back or settled."""
    _charged: tuple[tuple[Sequence[Charge], Reserved], ...] = ()
    _standings: tuple[Standing, ...] = ()
    _asked: int = 0
    _used: int | None = None
    _served: bool = False
    _context: Token[Work] | None = None

    def begin(self) -> None:
        self._context = begin(self)

    async def charge(self, charges: Sequence[Charge]) -> None:
        limits = self.limits
        assert limits is not None
        reserved = limits.reserve_now(charges) if limits.near is not None else await limits.reserve(charges)
        if reserved is not None:
            self._charged = (*self._charged, (charges, reserved))
            self._standings = (*self._standings, *reserved.standings)

    async def use(self, model: str, ask: Ask | None = None) -> None:
        self.allow(model)
        limits = self.limits
        if limits is None or (ask is None and not limits.by_model and not self.per_use):
            self._served = True
            return
        use = limits.of_model(self.caller, model)
        tokens = ask.tokens if ask is not None else 0
        charges = self._charges_for(use, tokens) if tokens or self.per_use else use.charges
        if charges:
            try:
                await self.charge(charges)
            except LimitExceeded:
                if not self._served:
                    self._take_back_requests()
                raise
            self.settles = self.settles or tokens > 0 or use.holds
        self._served = True
        if tokens and any(charge.tokens for charge in charges):
            self.metered = True
            self._asked += tokens

    def used(self, tokens: int) -> None:
        self._used = tokens

    def headers(self) -> Sequence[tuple[bytes, bytes]]:
        return headers_of(self._standings) if self._standings else ()

    def leave(self) -> None:
        """Give back what was held, and settle the tokens: what was used, or none for a request that came to nothing."""
        if self._context is not None:
            end(self._context)
            self._context = None
        if not self.settles or self.limits is None:
            return
        self.settles = False
        over = (self._used or 0) - self._asked
        for charges, reserved in self._charged:
            settled = [
                Charge(bucket, 0, over if tokens else 0, -concurrent)
                for bucket, _, tokens, concurrent in charges
                if concurrent or (tokens and over)
            ]
            if settled:
                self.limits.ledger.settle(settled, reserved)

    def _charges_for(self, use: Use, tokens: int) -> list[Charge]:
        """What the use of a model is charged that needs `tokens`, or is one of a stream's."""
        held = not self.per_use
        charges = [Charge(one, 1, tokens if one.tokens else 0, int(held and one.concurrent > 0)) for one in use.buckets]
        own = self.entry.bucket if self.entry is not None else None
        if own is not None and ((tokens and own.tokens) or self.per_use):
            charges.append(Charge(own, int(self.per_use), tokens if own.tokens else 0, 0))
        return charges

    def _take_back_requests(self) -> None:
        """What a model's limit refuses was no request of its caller's."""
        self._standings = ()
        for charges, reserved in self._charged:
            taken = [
                Charge(bucket, -requests, 0, 0) for bucket, requests, _, _ in charges if requests and not self.per_use
            ]
            if taken and self.limits is not None:
                self.limits.ledger.settle(taken, reserved)
