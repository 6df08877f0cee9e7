"""Keys in Redis, for gateways on several machines: one value with all of them, and a count of its changes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import msgspec
from redis.exceptions import RedisError, WatchError

from services.gateway.control.keys import Key, KeyStoreDown

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from redis.asyncio import Redis

    from services.gateway.control.keys import Keys

_decode = msgspec.json.Decoder(tuple[Key, ...]).decode


class RedisKeys:
    """The keys under one prefix."""

    def __init__(self, client: Redis, *, prefix: str, timeout: float) -> None:
        """`timeout` bounds every look, in seconds."""
        self._client = client
        self._keys = "{" + prefix + "}:keys"
        self._version = self._keys + ":version"
        self._timeout = timeout
        self._seen: bytes | None = b"never looked"

    async def fetch(self) -> Keys | None:
        version = await self._asked(self._client.get(self._version))
        if version == self._seen:
            return None
        stored = await self._asked(self._client.get(self._keys))
        try:
            keys = _decode(stored) if stored else ()
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise KeyStoreDown(f"The keys in Redis cannot be read: {error}") from None
        self._seen = version
        return keys

    async def exists(self) -> bool:
        """Who configures a Redis for keys wants them asked for, also before the first is made."""
        return True

    async def change(self, edit: Callable[[Keys], Keys]) -> None:
        while True:
            async with self._client.pipeline() as pipeline:
                try:
                    await pipeline.watch(self._keys)
                    stored = await pipeline.get(self._keys)
                    keys = edit(_decode(stored) if stored else ())
                    pipeline.multi()  # type: ignore[no-untyped-call]
                    pipeline.set(self._keys, msgspec.json.encode(keys))
                    pipeline.incr(self._version)
                    await pipeline.execute()
                except WatchError:  # somebody else was faster
                    continue
                except RedisError as error:
                    raise KeyStoreDown(f"Redis cannot be used: {error}") from None
                return

    async def close(self) -> None:
        await self._client.aclose()

    async def _asked(self, call: Awaitable[Any]) -> Any:
        try:
            async with asyncio.timeout(self._timeout):
                return await call
        except (RedisError, OSError, TimeoutError) as error:
            raise KeyStoreDown(f"Redis cannot be used: {error}") from None
