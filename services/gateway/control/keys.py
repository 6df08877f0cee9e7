"""API keys: what is kept of one, and how a secret becomes what is kept.

A secret is `tdm_` and 256 random bits. Only its SHA-256 is stored. Slow password hashes exist because passwords can be guessed;
2^256 equally likely secrets cannot, however fast the hash, so a slow one would cost every request and protect nothing.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from typing import TYPE_CHECKING, Literal, Protocol

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable

PREFIX = "tdm_"
_BYTES = 32

Scope = Literal["infer", "chat", "admin"]


class KeyLimits(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A key's own limits; None leaves the one in the settings."""

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    concurrent_requests: int | None = None


class Key(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What is known of one key. Times are Unix seconds."""

    name: str
    digest: str
    """SHA-256 of the secret, in hexadecimal."""
    created: float
    scopes: tuple[Scope, ...] = ("infer", "chat")
    models: tuple[str, ...] = ()
    """Models that it may use; empty for all."""
    expires: float | None = None
    limits: KeyLimits = KeyLimits()

    def expired(self, now: float) -> bool:
        """Whether its time is over at `now`."""
        return self.expires is not None and self.expires <= now


class KeyProblem(ValueError):
    """A change of the keys that cannot be made, in a sentence."""


def new_secret() -> str:
    """A secret that nobody can guess."""
    return PREFIX + secrets.token_urlsafe(_BYTES)


def digest_of(secret: bytes) -> bytes:
    """What is kept of a secret."""
    return hashlib.sha256(secret).digest()


Keys = tuple[Key, ...]


class KeyStore(Protocol):
    """Where keys are kept."""

    async def fetch(self) -> Keys | None:
        """All keys when they changed since the last call, else None. Raises KeyStoreDown."""
        ...

    async def exists(self) -> bool:
        """Whether keys were ever made here, so that one is needed from now on."""
        ...

    async def change(self, edit: Callable[[Keys], Keys]) -> None:
        """Replace the keys by what `edit` makes of them, with nobody else changing them in between."""
        ...

    async def close(self) -> None:
        """Let go of everything."""
        ...


class KeyStoreDown(Exception):
    """The keys cannot be read."""


def added(keys: Keys, key: Key) -> Keys:
    """`keys` with one more. Raises KeyProblem when its name is taken."""
    if any(one.name == key.name for one in keys):
        raise KeyProblem(f"There is a key {key.name!r} already: rotate or revoke it.")
    return (*keys, key)


def without(keys: Keys, name: str) -> Keys:
    """`keys` without those called `name`. Raises KeyProblem when there is none."""
    left = tuple(key for key in keys if key.name != name)
    if len(left) == len(keys):
        raise KeyProblem(f"There is no key {name!r}.")
    return left


def rotated(keys: Keys, name: str, digest: str, overlap: float) -> Keys:
    """`keys` with a new secret for `name`; the old one is good for `overlap` more seconds. Raises KeyProblem."""
    rest = without(keys, name)
    now = time.time()
    newest = max((key for key in keys if key.name == name), key=lambda key: key.created)
    replaced = msgspec.structs.replace(newest, digest=digest, created=now)
    if not overlap:
        return (*rest, replaced)
    until = now + overlap if newest.expires is None else min(now + overlap, newest.expires)
    return (*rest, msgspec.structs.replace(newest, expires=until), replaced)
