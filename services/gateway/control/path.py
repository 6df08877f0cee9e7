"""The one way in: who asks, may they, within which limits and until when, for HTTP and gRPC alike."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
from typing import TYPE_CHECKING

from services.asgi import TIMEOUT_HEADER
from services.errors import InvalidInput, Unavailable
from services.gateway.control.identity import address_of
from services.gateway.control.ledger import LedgerDown
from services.gateway.control.passage import Passage, uncounted
from services.gateway.control.policy import need_of

if TYPE_CHECKING:
    from services.gateway.control.identity import Holder, Identity
    from services.gateway.control.limits import Limits
    from services.gateway.head import Head

logger = logging.getLogger("tandem.gateway")

_STREAM = "/inference.GRPCInferenceService/ModelStreamInfer"
"""The call whose requests count one by one."""
_TEND_SECONDS = 1.0
_LONGEST = 86_400.0
"""No caller waits for longer than a day, in seconds."""


class Control:
    """Stands before the data plane for every protocol."""

    def __init__(self, identity: Identity | None, limits: Limits | None, poll_interval: float) -> None:
        """Without `identity` nobody is asked for a key, without `limits` nobody is limited."""
        self._identity = identity
        self._limits = limits
        self._asks_all = limits is not None and limits.configured
        self.refuses = False
        """Whether nobody is let in any more."""
        self.closing = False
        """Whether the server is about to stop, and clients should go elsewhere with their next request."""
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

    def announce_end(self) -> None:
        """Let clients know that this server is about to stop."""
        self.closing = True

    def refuse(self) -> None:
        """Let nobody in from now on."""
        self.refuses = self._asks_all = True

    def concerns(self, head: Head) -> bool:
        """Whether a request must be let in at all: with no keys, no limits and no deadline it need not."""
        return self._asks_all or head.timeout is not None or (self._identity is not None and self._identity.closed)

    async def enter(self, route: str, head: Head, host: str | None, *, seconds: float | None = None) -> Passage | None:
        """Let a request to `route` in, and charge it what it owes. As `admit` otherwise; raises LimitExceeded as well."""
        passage = self.admit(route, head, host, seconds=seconds, counts=False)
        if passage is not None:
            await passage.pay()
            passage.begin()
        return passage

    def admit(
        self, route: str, head: Head, host: str | None, *, seconds: float | None = None, counts: bool = True
    ) -> Passage | None:
        """Let a request to `route` in that came from `host`; None when nothing keeps watch over that route.

        Its passage has yet to pay, or `counts` it where it is shared, and to begin. `seconds` is how long the caller waits, where the
        protocol itself says so. Raises Unauthenticated, PermissionDenied, InvalidInput or Unavailable.
        """
        need = need_of(route)
        if need is None:
            return None
        if self.refuses:
            raise Unavailable("The server is stopping. Another one, or this one in a moment, takes requests.")
        holder = None
        identity = self._identity
        if identity is not None and identity.closed:
            holder = identity.holder_of(head.secret, route, need)
        known = holder.passage if holder is not None else None
        passage = known or self._passage(holder, host)
        deadline = None if head.timeout is None and seconds is None else _deadline(head.timeout, seconds)
        if deadline is None and passage.is_shared and (counts or not passage.entry):
            return passage
        return passage.own(deadline, is_stream=route == _STREAM)

    def _passage(self, holder: Holder | None, host: str | None) -> Passage:
        """How all requests of a caller are let in."""
        limits = self._limits
        if holder is None:
            caller, name, own = f"address {address_of(host)}" if host else "", "", None
        else:
            caller, name, own = holder.caller, holder.key.name, holder.limits
        entry = limits.of_caller(caller, own) if limits is not None else None
        if holder is None and entry is not None and entry.passage is not None:
            return entry.passage
        passage = Passage(None, caller, holder=holder, key_name=name, limits=limits, entry=entry)
        if limits is not None:
            passage.counts = limits.by_model
            counter = limits.counter(entry) if entry is not None else uncounted
            passage.is_shared = counter is not None and not limits.by_model
            passage.count = counter or uncounted
        if holder is not None:
            passage.restricted = holder.restricted
            passage.until = math.inf if holder.expires is None else holder.expires
            holder.passage = passage
        elif entry is not None:
            entry.passage = passage
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
                limits.note_up()
            except LedgerDown as down:
                limits.note_down(down)
            except Exception:
                logger.exception("The ledger could not be tended")


def _deadline(timeout: bytes | None, seconds: float | None) -> float:
    """When the caller's time is up, on the loop's clock. Raises InvalidInput."""
    if timeout is not None:
        try:
            # Python would read "1_0" and "infinity" as well.
            asked = math.nan if timeout.strip(b"+-.0123456789eE") else float(timeout)
        except ValueError:
            asked = math.nan
        if not asked > 0:
            raise InvalidInput(f"{TIMEOUT_HEADER}: must be a positive number of seconds.", param=TIMEOUT_HEADER)
        seconds = asked if seconds is None else min(asked, seconds)
    assert seconds is not None
    return asyncio.get_running_loop().time() + min(seconds, _LONGEST)
