"""Who asks: the key that came with a request, or nobody."""

from __future__ import annotations

import hmac
import ipaddress
import logging
import time
from functools import lru_cache
from typing import TYPE_CHECKING

from services.errors import PermissionDenied, Unauthenticated, Unavailable
from services.gateway.control.keys import KeyStoreDown, digest_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from services.gateway.control.keys import Key, KeyStore, Scope

logger = logging.getLogger("tandem.gateway")

_INDEX = 8
"""Bytes of a digest that find its key. The search may tell an attacker these by its time, which is no help towards a secret
with this hash; the rest is compared in constant time."""
_BEARER = b"bearer "
_LONGEST = 256


class Identity:
    """The keys as they were when last looked at."""

    def __init__(self, store: KeyStore, *, required: bool, clock: Callable[[], float] = time.time) -> None:
        """`required` says that a key is needed even before there is one."""
        self._store = store
        self._clock = clock
        self._keys: dict[bytes, tuple[bytes, Key]] = {}
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
            found = [(bytes.fromhex(key.digest), key) for key in keys]
            self._keys = {digest[:_INDEX]: (digest, key) for digest, key in found}

    async def close(self) -> None:
        """Let go of the store."""
        await self._store.close()

    def key_of(self, secret: bytes | None) -> Key:
        """The key that `secret` belongs to. Raises Unauthenticated, or Unavailable while no key could be read yet."""
        if not self._known and not self._keys:
            raise Unavailable("The keys cannot be read.", retry_after=5)
        if secret is None:
            raise Unauthenticated("An API key is needed: send it as `Authorization: Bearer tdm_...` or `x-api-key`.")
        digest = digest_of(secret[:_LONGEST])
        stored, key = self._keys.get(digest[:_INDEX], (b"", None))
        if not hmac.compare_digest(digest, stored) or key is None:
            raise Unauthenticated("This API key is not known.")
        if key.expires is not None and key.expired(self._clock()):
            raise Unauthenticated("This API key has expired.")
        return key


def check_scope(key: Key, scope: Scope) -> None:
    """Raises PermissionDenied unless `key` has `scope`; `admin` may do everything."""
    if scope not in key.scopes and "admin" not in key.scopes:
        raise PermissionDenied(f"The key {key.name!r} lacks the scope {scope!r}.")


def check_model(key: Key, model: str) -> None:
    """Raises PermissionDenied unless `key` may use `model`."""
    if key.models and model not in key.models:
        raise PermissionDenied(f"The key {key.name!r} may not use the model {model!r}.", param="model")


def bearer(value: bytes) -> bytes | None:
    """The secret in an `authorization` header; None for another scheme."""
    return value[len(_BEARER) :].strip() if value[: len(_BEARER)].lower() == _BEARER else None


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
