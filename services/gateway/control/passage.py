"""A request that was let in: what it may use, what it was charged, and what is given back when it ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from services.errors import LimitExceeded
from services.gateway.control.ledger import Charge
from services.gateway.control.limits import headers_of
from services.gateway.control.work import Work, begin, end

if TYPE_CHECKING:
    from contextvars import Token

    from services.gateway.control.identity import Holder
    from services.gateway.control.ledger import Bucket, Reserved, Standing
    from services.gateway.control.limits import Limits
    from services.gateway.control.tokens import Ask


class Passage(Work):
    """A request that was let in. `leave` must follow, whatever becomes of it."""

    __slots__ = (
        "_asked",
        "_bucket",
        "_charged",
        "_context",
        "_limits",
        "_per_use",
        "_served",
        "_standings",
        "_used",
        "holder",
    )

    def __init__(self, deadline: float | None, holder: Holder | None, caller: str, limits: Limits | None) -> None:
        super().__init__(deadline, caller)
        self.holder = holder
        self._limits = limits
        self._bucket: Bucket | None = None
        self._charged: list[tuple[list[Charge], Reserved]] = []
        self._standings: list[Standing] = []
        self._asked = 0
        self._used: int | None = None
        self._per_use = False
        self._served = False
        self._context: Token[Work] | None = None

    @property
    def key_name(self) -> str:
        """Name of the key that was used; empty when none was needed."""
        return self.holder.key.name if self.holder is not None else ""

    async def enter(self, *, per_use: bool = False) -> None:
        """Charge the caller for a request; with `per_use`, for each use of a model instead. Raises LimitExceeded."""
        if self._limits is not None:
            own = self.holder.limits if self.holder is not None else None
            self._per_use = per_use
            entry = self._limits.of_caller(self.caller, own)
            if entry is not None:
                self._bucket = entry.bucket
                charges = entry.charges_of_stream if per_use else entry.charges
                reserved = await self._limits.reserve(charges)
                if reserved is not None:
                    self._charged.append((charges, reserved))
                    self._standings += reserved.standings
        self._context = begin(self)

    def allow(self, model: str) -> None:
        if self.holder is not None:
            self.holder.check_model(model)

    async def use(self, model: str, ask: Ask | None = None) -> None:
        if self.holder is not None:
            self.holder.check_model(model)
        if self._limits is None:
            return
        tokens = ask.tokens if ask else 0
        buckets = self._limits.of_model(self.caller, model)
        held = not self._per_use
        charges = [Charge(one, 1, tokens if one.tokens else 0, int(held and one.concurrent > 0)) for one in buckets]
        own = self._bucket
        if own is not None and ((tokens and own.tokens) or self._per_use):
            charges.append(Charge(own, int(self._per_use), tokens if own.tokens else 0, 0))
        if charges:
            try:
                await self._charge(charges)
            except LimitExceeded:
                if not self._served:
                    self._take_back_requests()
                raise
        self._served = True
        if any(charge.tokens for charge in charges):
            self.metered = True
            self._asked += tokens

    def used(self, tokens: int) -> None:
        self._used = tokens

    def headers(self) -> list[tuple[bytes, bytes]]:
        """What the caller hears of its limits."""
        return headers_of(self._standings) if self._standings else []

    def leave(self) -> None:
        """Give back what was held, and settle the tokens: what was used, or none for a request that came to nothing."""
        if self._context is not None:
            end(self._context)
            self._context = None
        charged = self._charged
        if not charged or self._limits is None:
            return
        self._charged = []
        over = (self._used or 0) - self._asked
        for charges, reserved in charged:
            settled = [
                Charge(bucket, 0, over if tokens else 0, -concurrent)
                for bucket, _, tokens, concurrent in charges
                if concurrent or (tokens and over)
            ]
            if settled:
                self._limits.ledger.settle(settled, reserved)

    async def _charge(self, charges: list[Charge]) -> None:
        assert self._limits is not None
        reserved = await self._limits.reserve(charges)
        if reserved is not None:
            self._charged.append((charges, reserved))
            self._standings += reserved.standings

    def _take_back_requests(self) -> None:
        """What a model's limit refuses was no request of its caller's."""
        self._standings = []
        for charges, reserved in self._charged:
            taken = [
                Charge(bucket, -requests, 0, 0) for bucket, requests, _, _ in charges if requests and not self._per_use
            ]
            if taken and self._limits is not None:
                self._limits.ledger.settle(taken, reserved)
