"""Which buckets a request is charged to, and what its caller hears of how they stand."""

from __future__ import annotations

import logging
from math import ceil, isinf
from typing import TYPE_CHECKING

from services.asgi import headers_in
from services.errors import LimitExceeded, Unavailable
from services.gateway.control.ledger import Bucket, Charge, LedgerDown, Refused
from services.telemetry.definitions import LIMITER_UP

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from services.gateway.control.keys import KeyLimits
    from services.gateway.control.ledger import Counter, Ledger, Reserved, Standing
    from services.gateway.control.passage import Passage
    from services.settings.control import LimitsSettings, RatesSettings
    from services.telemetry.metrics import Metrics

logger = logging.getLogger("tandem.gateway")

_REMEMBERED = 10_000
"""Callers whose buckets are kept at hand."""


class Toll:
    """Charges that are made together, and what becomes of them when the request ends."""

    __slots__ = ("_back", "charges", "settles")

    def __init__(self, charges: Sequence[Charge]) -> None:
        self.charges = charges
        self._back = [Charge(one.bucket, 0, 0, -one.concurrent) for one in charges if one.concurrent]
        self.settles = bool(self._back) or any(one.tokens for one in charges)
        """Whether something is given back or settled then."""

    def settled(self, over: int) -> Sequence[Charge]:
        """What is charged then, less than nothing where it is given back; `over` tokens were used that had not been charged."""
        if not over:
            return self._back
        return [
            Charge(bucket, 0, over if tokens else 0, -concurrent)
            for bucket, _, tokens, concurrent in self.charges
            if tokens or concurrent
        ]


class Entry:
    """What a caller is charged for each request, made once."""

    __slots__ = ("bucket", "is_plain", "passage", "toll", "toll_of_stream")

    def __init__(self, bucket: Bucket) -> None:
        self.bucket = bucket
        held = int(bucket.concurrent > 0)
        self.toll = Toll((Charge(bucket, 1, 0, held),))
        self.toll_of_stream = Toll((Charge(bucket, 0, 0, held),))
        """For a stream of requests, which count one by one."""
        self.passage: Passage | None = None
        """How the requests of a caller without a key are let in; made at the first of them."""
        self.is_plain = bucket.requests > 0 and not bucket.tokens and not held
        """Whether requests a minute are all that is limited."""


_UNLIMITED = Toll(())


class Limits:
    """Charges requests to the buckets of their callers and models, in one ledger."""

    def __init__(self, settings: LimitsSettings, ledger: Ledger, metrics: Metrics) -> None:
        self.ledger = ledger
        self.near = ledger.reserve_now
        """How the ledger reserves where nobody has to wait for it; else None."""
        self._metrics = metrics
        metrics.watch(LIMITER_UP, lambda: {(): float(not self._down)})
        self._settings = settings
        self._fails_open = settings.on_store_failure == "fail_open"
        self._down = False
        self.configured = bool(settings.caller or any(settings.caller_models.values()) or any(settings.models.values()))
        """Whether the settings limit anything; a key may limit itself all the same."""
        self.by_model = bool(settings.caller_models or settings.models)
        """Whether the use of some model is limited."""
        self._allowed = metrics.limiter_decisions("allowed")
        self._callers: dict[str, tuple[KeyLimits | None, Entry | None]] = {}
        self._models: dict[tuple[str, str], Toll] = {}

    def of_caller(self, caller: str, own: KeyLimits | None = None) -> Entry | None:
        """The bucket of all that a caller does; None when nothing limits it. `own` limits come before the settings'."""
        known = self._callers.get(caller)
        if known is not None and known[0] is own:
            return known[1]
        if len(self._callers) >= _REMEMBERED:
            self._callers.clear()
        rates = self._settings.caller
        names = ("requests_per_minute", "tokens_per_minute", "concurrent_requests")
        values = [getattr(own, name, None) or getattr(rates, name) for name in names]
        entry = Entry(Bucket.of("caller", caller, *values)) if any(values) else None
        self._callers[caller] = (own, entry)
        return entry

    def of_model(self, caller: str, model: str) -> Toll:
        """What a caller's use of one model is charged that needs no tokens: to the bucket of its own use, and of everybody's."""
        if not self.by_model:
            return _UNLIMITED
        known = self._models.get((caller, model))
        if known is None:
            if len(self._models) >= _REMEMBERED:
                self._models.clear()
            pairs = (
                ("caller's model", f"{caller}\0{model}", self._settings.caller_models.get(model)),
                ("model", model, self._settings.models.get(model)),
            )
            buckets = [_bucket(kind, name, rates) for kind, name, rates in pairs if rates]
            known = Toll([Charge(one, 1, 0, int(one.concurrent > 0)) for one in buckets])
            self._models[caller, model] = known
        return known

    def note_up(self) -> None:
        """The ledger can be used."""
        if self._down:
            self._down = False
            logger.warning("Limits are checked again.")

    def note_down(self, error: LedgerDown) -> None:
        """The ledger cannot be used."""
        if not self._down:
            self._down = True
            meaning = "everybody is let in" if self._fails_open else "nobody is let in"
            logger.error("Limits cannot be checked: %s Until they can, %s.", error, meaning)

    async def reserve(self, charges: Sequence[Charge]) -> Reserved | None:
        """Make all of `charges`, or none; None when nobody counts because the ledger is down and that lets in.

        Raises LimitExceeded, or Unavailable when a ledger that is down keeps out.
        """
        try:
            reserved = await self.ledger.reserve(charges)
        except (Refused, LedgerDown) as error:
            self._not_made(error)
            return None
        if self._down:
            self.note_up()
        self._allowed.pending += 1
        return reserved

    def reserve_now(self, charges: Sequence[Charge]) -> Reserved | None:
        """The same without waiting, where `near` says that this can be."""
        assert self.near is not None
        try:
            reserved = self.near(charges)
        except (Refused, LedgerDown) as error:
            self._not_made(error)
            return None
        if self._down:
            self.note_up()
        self._allowed.pending += 1
        return reserved

    def counter(self, entry: Entry) -> Counter | None:
        """What charges one request to `entry`; None where somebody has to be waited for, or more is limited. It raises LimitExceeded or
        Unavailable.
        """
        return self.ledger.counter(entry.bucket, self._allowed, self._guarded) if entry.is_plain else None

    def _guarded(self, count: Callable[[], bytes]) -> bytes:
        """What a caller hears whose request is counted; nothing when it is let in uncounted."""
        try:
            told = count()
        except (Refused, LedgerDown) as error:
            self._not_made(error)
            return b""
        if self._down:
            self.note_up()
        self._allowed.pending += 1
        return told

    def _not_made(self, error: Refused | LedgerDown) -> None:
        """Raises what the caller hears; returns when the caller is let in all the same."""
        if isinstance(error, Refused):
            self._metrics.limiter_decisions("refused", error.standing.bucket.kind, error.what).pending += 1
            raise _exceeded(error) from None
        self.note_down(error)
        self._metrics.limiter_decisions("unchecked" if self._fails_open else "unavailable").pending += 1
        if not self._fails_open:
            raise Unavailable("Limits cannot be checked right now.") from None


def _bucket(kind: str, name: str, rates: RatesSettings) -> Bucket:
    return Bucket.of(kind, name, rates.requests_per_minute, rates.tokens_per_minute, rates.concurrent_requests)


_SAYS = {"requests": "requests a minute", "tokens": "tokens a minute", "concurrent": "requests at once"}
_OF = {"caller": "You have", "caller's model": "You have for this model", "model": "This model has"}


def _exceeded(refused: Refused) -> LimitExceeded:
    bucket = refused.standing.bucket
    limit = getattr(bucket, refused.what)
    whose = _OF[bucket.kind]
    if isinf(refused.wait):
        message = f"{whose} {limit} {_SAYS[refused.what]}, fewer than this one request may use. Ask for less in one."
        seconds = 60
    else:
        message = f"{whose} {limit} {_SAYS[refused.what]}, and they are used up. Try again later."
        seconds = max(1, ceil(refused.wait))
    headers = {name.decode(): value.decode() for name, value in headers_in(lines_of((refused.standing,)))}
    return LimitExceeded(message, retry_after=seconds, standing=headers)


def lines_of(standings: Sequence[Standing]) -> bytes:
    """The `x-ratelimit-*` header lines that say how the tightest of some buckets stand, with names as OpenAI's."""
    by_requests = by_tokens = None
    for standing in standings:
        bucket = standing.bucket
        if bucket.requests and (by_requests is None or standing.requests < by_requests.requests):
            by_requests = standing
        if bucket.tokens and (by_tokens is None or standing.tokens < by_tokens.tokens):
            by_tokens = standing
    lines = b""
    if by_requests is not None:
        lines = by_requests.bucket.told_requests % (by_requests.requests, ceil(by_requests.requests_reset))
    if by_tokens is not None:
        lines += by_tokens.bucket.told_tokens % (by_tokens.tokens, ceil(by_tokens.tokens_reset))
    return lines
