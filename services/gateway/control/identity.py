"""Who asks: the key that came with a request, or nobody."""

from __future__ import annotations

import ipaddress
import logging
import time
from functools import lru_cache
from hmac import compare_digest
from typing import TYPE_CHECKING, get_args

from services.errors import PermissionDenied, Unauthenticated, Unavailable
from services.gateway.control.keys import KeyStoreDown, Scope, digest_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from services.gateway.control.keys import Key, KeyStore
    from services.gateway.control.passage import Passage

logger = logging.getLogger("tandem.gateway")

_INDEX = 8
"""Bytes of a digest that find its key. The search may tell an attacker these by its time, which is no help towards a secret
with this hash; the rest is compared in constant time."""
_LONGEST = 256


class Identity:
    """The keys as they were when last looked at."""

    def __init__(self, store: KeyStore, *, required: bool, clock: Callable[[], float] = time.time) -> None:
        """`required` says that a key is needed even before there is one."""
        self._store = store
        self._clock = clock
        self._keys: dict[bytes, Holder] = {}
        self._seen: dict[int, tuple[bytes, Holder]] = {}
        """The good secrets that came since the keys changed last, and whose they are: to hash one costs a third of all that
        a key does. Python's hash, which finds them, is keyed at random in each process; they are compared in constant time.
        """
        self._known = False
        self._failing = False
        self.closed = required
        """Whether a key is needed. Once it is, it stays so while this process lives: a store that vanishes opens nothing."""

    async def refresh(self) -> None:
        """Look for changed keys; the known ones stay good while the store cannot be read."""
        try:
            keys = await self._store.fetch()
            self.closed = self.closed or bool(keys) or await self._store.exists()
        except KeyStoreDown as error:
            if not self._failing:
                logger.error("%s The keys that are known stay as they are.", error)  # noqa: TRY400
            self._failing = self.closed = True
            return
        if self._failing:
            logger.warning("The keys can be read again.")
        self._failing = False
        self._known = True
        if keys is not None:
            for holder in self._keys.values():
                holder.retire()
            holders = [Holder(key) for key in keys]
            self._keys = {holder.digest[:_INDEX]: holder for holder in holders}
            self._seen = {}

    async def close(self) -> None:
        """Let go of the store."""
        await self._store.close()

    def holder_of(self, secret: bytes | None, route: str, need: Sequence[Scope]) -> Holder:
        """Whose key `secret` is, which `route` is open to: it needs the scopes `need`. Raises Unauthenticated,
        PermissionDenied, or Unavailable while no key could be read yet.
        """
        seen = self._seen.get(hash(secret))
        if seen is not None and secret is not None and compare_digest(secret, seen[0]):
            holder = seen[1]
        else:
            holder = self._search(secret)
        if holder.expires is not None and holder.expires <= self._clock():
            raise Unauthenticated("This API key has expired.")
        if route not in holder.routes:
            holder.check_scopes(need)
            holder.routes.add(route)
        return holder

    def _search(self, secret: bytes | None) -> Holder:
        """As `holder_of`, of a secret that was not seen since the keys changed last."""
        if not self._known and not self._keys:
            raise Unavailable("The keys cannot be read.", retry_after=5)
        if secret is None:
            raise Unauthenticated("An API key is needed: send it as `Authorization: Bearer tdm_...` or `x-api-key`.")
        digest = digest_of(secret[:_LONGEST])
        holder = self._keys.get(digest[:_INDEX])
        if holder is None or not compare_digest(digest, holder.digest):
            raise Unauthenticated("This API key is not known.")
        self._seen[hash(secret)] = secret, holder
        return holder


class Holder:
    """Who holds a key: what is kept of the key, in the shape in which each request needs it."""

    __slots__ = (
        "_models",
        "_scopes",
        "caller",
        "digest",
        "expires",
        "key",
        "limits",
        "passage",
        "restricted",
        "routes",
    )

    def __init__(self, key: Key) -> None:
        self.key = key
        self.digest = bytes.fromhex(key.digest)
        self.caller = f"key {key.name}"
        self.expires = key.expires
        self.limits = key.limits
        self.routes: set[str] = set()
        """Those that are known to be open to the key."""
        self.passage: Passage | None = None
        """How its requests are let in; made at the first of them."""
        self._scopes = frozenset(get_args(Scope) if "admin" in key.scopes else key.scopes)
        self._models = frozenset(key.models)
        self.restricted = bool(self._models)
        """Whether it may use some models only."""

    def retire(self) -> None:
        """The keys have changed: what this one let in lets nobody else in."""
        if self.passage is not None:
            self.passage.until = 0.0

    def check_scopes(self, scopes: Sequence[Scope]) -> None:
        """Raises PermissionDenied unless the key has all of `scopes`; `admin` may do everything."""
        for scope in scopes:
            if scope not in self._scopes:
                raise PermissionDenied(f"The key {self.key.name!r} lacks the scope {scope!r}.")

    def check_model(self, model: str) -> None:
        """Raises PermissionDenied unless the key may use `model`."""
        if self._models and model not in self._models:
            raise PermissionDenied(f"The key {self.key.name!r} may not use the model {model!r}.", param="model")


@lru_cache(4096)
def address_of(host: str) -> str:
    """What stands for a client without a key: its address; of IPv6 the network of 64 bits that one client gets."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped:
            return str(address.ipv4_mapped)
        return str(ipaddress.ip_network((address, 64), strict=False))
    return host
