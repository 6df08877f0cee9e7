"""The one way in: who asks, may they, within which limits and until when, for HTTP and gRPC alike."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
from typing import TYPE_CHECKING

from services.asgi import TIMEOUT_HEADER
from services.errors import InvalidInput, LimitExceeded
from services.gateway.control.identity import address_of, bearer
from services.gateway.control.ledger import Charge, LedgerDown
from services.gateway.control.limits import headers_of
from services.gateway.control.policy import need_of
from services.gateway.control.work import Work, begin, end

if TYPE_CHECKING:
    from collections.abc import Iterable
    from contextvars import Token

    from services.gateway.control.identity import Holder, Identity
    from services.gateway.control.ledger import Bucket, Reserved, Standing
    from services.gateway.control.limits import Limits
    from services.gateway.control.tokens import Ask

logger = logging.getLogger("tandem.gateway")

_TIMEOUT = TIMEOUT_HEADER.encode()
_TELLING = frozenset({b"authorization", b"x-api-key", _TIMEOUT})
_TEND_SECONDS = 1.0
_LONGEST = 86_400.0
"""No caller waits for longer than a day, in seconds."""


class Passage(Work):
    """A request that was let in. `leave` must follow, whatever becomes of it."""

    __slots__ = (
        "_asked",
        "_bucket",
        "_charged",
        "_context",
        "_limits",
        "_per_use",
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
        if not charges:
            return
        try:
            await self._charge(charges)
        except LimitExceeded:
            self._take_back_requests()
            raise
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


class Control:
    """Stands before the data plane for every protocol."""

    def __init__(self, identity: Identity | None, limits: Limits | None, poll_interval: float) -> None:
        """Without `identity` nobody is asked for a key, without `limits` nobody is limited."""
        self._identity = identity
        self._limits = limits
        self._limited = limits is not None and limits.configured
        self._poll_interval = poll_interval
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Read the keys, and look for changes from now on."""
        if self._identity is not None:
            await self._identity.refresh()
            self._tasks.append(asyncio.create_task(self._watch_keys(self._identity)))
        if self._limits is not None:
            self._tasks.append(asyncio.create_task(self._tend(self._limits)))

    async def stop(self) -> None:
        """Look no longer, and let go of the stores."""
        for task in self._tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        self._tasks.clear()
        if self._identity is not None:
            await self._identity.close()
        if self._limits is not None:
            await self._limits.ledger.close()

    def concerns(self, headers: Iterable[tuple[bytes, bytes]]) -> bool:
        """Whether a request must `enter` at all: with no keys, no limits and no deadline it need not."""
        if self._limited or (self._identity is not None and self._identity.closed):
            return True
        for name, _ in headers:  # a loop costs half of what any() does, on every request  # noqa: SIM110
            if name == _TIMEOUT:
                return True
        return False

    async def enter(
        self, route: str, headers: Iterable[tuple[bytes, bytes]], host: str | None, *, seconds: float | None = None
    ) -> Passage | None:
        """Let a request to `route` in that came from `host`; None when nothing keeps watch over that route.

        `headers` have lower-case names; `seconds` is how long the caller waits, where the protocol itself says so. Raises
        Unauthenticated, PermissionDenied, LimitExceeded, InvalidInput or Unavailable.
        """
        need = need_of(route)
        if need is None:
            return None
        secret = timeout = None
        for name, value in headers:
            if name in _TELLING:
                if name == b"authorization":
                    secret = bearer(value) or secret
                elif name == _TIMEOUT:
                    timeout = value
                else:
                    secret = secret or value
        holder = None
        identity = self._identity
        if identity is not None and identity.closed:
            holder = identity.holder_of(secret)
            holder.check_scopes(need)
            caller = holder.caller
        else:
            caller = f"address {address_of(host)}" if host else ""
        deadline = None if timeout is None and seconds is None else _deadline(timeout, seconds)
        passage = Passage(deadline, holder, caller, self._limits)
        await passage.enter(per_use=route.endswith("/ModelStreamInfer"))
        return passage

    async def _watch_keys(self, identity: Identity) -> None:
        while True:
            await asyncio.sleep(self._poll_interval)
            try:
                await identity.refresh()
            except Exception:
                logger.exception("The keys could not be looked at")

    async def _tend(self, limits: Limits) -> None:
        while True:
            await asyncio.sleep(_TEND_SECONDS)
            try:
                await limits.ledger.tend()
            except LedgerDown:
                continue
            except Exception:
                logger.exception("The ledger could not be tended")


def _deadline(timeout: bytes | None, seconds: float | None) -> float:
    """When the caller's time is up, on the loop's clock. Raises InvalidInput."""
    if timeout is not None:
        try:
            asked = float(timeout)
        except ValueError:
            asked = math.nan
        if not asked > 0:
            raise InvalidInput(f"{TIMEOUT_HEADER}: must be a positive number of seconds.", param=TIMEOUT_HEADER)
        seconds = asked if seconds is None else min(asked, seconds)
    assert seconds is not None
    return asyncio.get_running_loop().time() + min(seconds, _LONGEST)
