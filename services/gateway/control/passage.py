"""A request that was let in: what it may use, what it was charged, and what is given back when it ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from services.errors import LimitExceeded
from services.gateway.control.ledger import Charge
from services.gateway.control.limits import headers_of
from services.gateway.control.work import Work, begin, end

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextvars import Token

    from services.gateway.control.identity import Holder
    from services.gateway.control.ledger import Reserved, Standing
    from services.gateway.control.limits import Entry, Limits, Use
    from services.gateway.control.tokens import Ask


class Passage(Work):
    """A request that was let in. `leave` must follow, whatever becomes of it.

    This one has no state: the requests with one key share it as long as neither a limit nor a deadline bounds them. It is not
    taken back when one ends, for the next begins with another.
    """

    def __init__(self, deadline: float | None, holder: Holder | None, caller: str) -> None:
        self.deadline = deadline
        self.caller = caller
        self.holder = holder
        self.key_name = holder.key.name if holder is not None else ""
        """Name of the key that was used; empty when none was needed."""

    async def enter(self) -> None:
        """From here on this task works for the request. Raises LimitExceeded or Unavailable."""
        begin(self)

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

    counts = True
    _standings: tuple[Standing, ...] = ()
    _asked = 0
    _used: int | None = None
    _served = False
    _settles = False
    """Whether something charged is to be given back or settled."""
    _context: Token[Work] | None = None

    def __init__(
        self,
        deadline: float | None,
        holder: Holder | None,
        caller: str,
        limits: Limits | None,
        entry: Entry | None,
        *,
        per_use: bool,
    ) -> None:
        """The caller is charged as `entry` says for a request; with `per_use`, for each use of a model instead."""
        Passage.__init__(self, deadline, holder, caller)
        self._limits = limits
        self._entry = entry
        self._per_use = per_use
        self._charged: list[tuple[Sequence[Charge], Reserved]] = []

    async def enter(self) -> None:
        entry = self._entry
        if entry is not None:
            await self._charge(entry.charges_of_stream if self._per_use else entry.charges)
            self._settles = entry.holds
        self._context = begin(self)

    async def use(self, model: str, ask: Ask | None = None) -> None:
        self.allow(model)
        limits = self._limits
        if limits is None or (ask is None and not limits.by_model and not self._per_use):
            self._served = True
            return
        use = limits.of_model(self.caller, model)
        tokens = ask.tokens if ask is not None else 0
        charges = self._charges_for(use, tokens) if tokens or self._per_use else use.charges
        if charges:
            try:
                await self._charge(charges)
            except LimitExceeded:
                if not self._served:
                    self._take_back_requests()
                raise
            self._settles = self._settles or tokens > 0 or use.holds
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
        if not self._settles or self._limits is None:
            return
        self._settles = False
        over = (self._used or 0) - self._asked
        for charges, reserved in self._charged:
            settled = [
                Charge(bucket, 0, over if tokens else 0, -concurrent)
                for bucket, _, tokens, concurrent in charges
                if concurrent or (tokens and over)
            ]
            if settled:
                self._limits.ledger.settle(settled, reserved)

    def _charges_for(self, use: Use, tokens: int) -> list[Charge]:
        """What the use of a model is charged that needs `tokens`, or is one of a stream's."""
        held = not self._per_use
        charges = [Charge(one, 1, tokens if one.tokens else 0, int(held and one.concurrent > 0)) for one in use.buckets]
        own = self._entry.bucket if self._entry is not None else None
        if own is not None and ((tokens and own.tokens) or self._per_use):
            charges.append(Charge(own, int(self._per_use), tokens if own.tokens else 0, 0))
        return charges

    async def _charge(self, charges: Sequence[Charge]) -> None:
        limits = self._limits
        assert limits is not None
        reserved = await limits.reserve(charges) if limits.near is None else limits.reserve_now(charges)
        if reserved is not None:
            self._charged.append((charges, reserved))
            self._standings = (*self._standings, *reserved.standings)

    def _take_back_requests(self) -> None:
        """What a model's limit refuses was no request of its caller's."""
        self._standings = ()
        for charges, reserved in self._charged:
            taken = [
                Charge(bucket, -requests, 0, 0) for bucket, requests, _, _ in charges if requests and not self._per_use
            ]
            if taken and self._limits is not None:
                self._limits.ledger.settle(taken, reserved)
