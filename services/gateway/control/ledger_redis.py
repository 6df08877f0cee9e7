"""A ledger in Redis, for gateways on several machines: every reservation is one script, which Redis runs as a whole."""

from __future__ import annotations

import asyncio
import itertools
import math
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any

from redis.exceptions import RedisError

from services.gateway.control.ledger import LedgerDown, Refused, Reserved, Standing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from redis.asyncio import Redis

    from services.gateway.control.ledger import Bucket, Charge, Guard, Tally

SCRIPT = Path(__file__).with_name("ledger.lua")
LEASE_SECONDS = 30.0
"""A gateway that dies holds its concurrent requests no longer than this."""
_HEAD = 4
"""Fields of the script's answer before those of the buckets."""
_FIELDS = 4


class RedisLedger:
    """Buckets in Redis, on its own clock."""

    reserve_now = None

    def __init__(self, client: Redis, algorithm: str, *, prefix: str, timeout: float, retry_interval: float) -> None:
        """`timeout` bounds every call, in seconds; after one that failed, Redis counts as down for `retry_interval`."""
        self._client = client
        self._script = client.register_script(SCRIPT.read_text(encoding="utf-8"))
        self._algorithm = algorithm
        self._prefix = "{" + prefix + "}:limits:"  # the braces keep all of it in one slot of a Redis cluster
        self._timeout = timeout
        self._retry_interval = retry_interval
        self._down_until = -math.inf
        self._name = secrets.token_hex(6)
        self._count = itertools.count()
        self._leases: dict[str, tuple[str, ...]] = {}
        self._settling: set[asyncio.Task[None]] = set()

    def counter(self, bucket: Bucket, allowed: Tally, guard: Guard) -> None:
        """Nobody counts without waiting."""

    async def reserve(self, charges: Sequence[Charge]) -> Reserved:
        lease = f"{self._name}-{next(self._count)}"
        answer = await self._run("reserve", lease, LEASE_SECONDS, charges)
        standings = [
            Standing(charge.bucket, *_standing(answer[_HEAD + at * _FIELDS :]))
            for at, charge in enumerate(charges[: (len(answer) - _HEAD) // _FIELDS])
        ]
        refused = int(answer[1])
        if refused:
            wait = float(answer[3])
            raise Refused(standings[refused - 1], answer[2].decode(), wait if wait >= 0 else math.inf)
        held = tuple(self._names(charge.bucket)[1] for charge in charges if charge.concurrent)
        if held:
            self._leases[lease] = held
        return Reserved(float(answer[0]), lease, standings)

    def settle(self, charges: Sequence[Charge], reserved: Reserved) -> None:
        self._leases.pop(reserved.lease, None)
        task = asyncio.get_running_loop().create_task(self._settle(charges, reserved))
        self._settling.add(task)
        task.add_done_callback(self._settling.discard)

    async def tend(self) -> None:
        """Make the leases of what is under way last longer. Asks Redis even where there are none, to see that it answers."""
        seconds, micros = await self._bounded(self._client.time())
        if not self._leases:
            return
        expiry = seconds + micros / 1e6 + LEASE_SECONDS
        pipeline = self._client.pipeline(transaction=False)
        for lease, names in self._leases.items():
            for name in names:
                pipeline.zadd(name, {lease: expiry}, xx=True)
                pipeline.pexpire(name, int(LEASE_SECONDS * 2000))
        await self._bounded(pipeline.execute())

    async def close(self) -> None:
        if self._settling:
            await asyncio.wait(self._settling, timeout=self._timeout)
        await self._client.aclose()

    async def _settle(self, charges: Sequence[Charge], reserved: Reserved) -> None:
        try:
            await self._run("settle", reserved.lease, reserved.since, charges)
        except LedgerDown:
            return  # what was reserved wears off by itself, and the lease runs out

    async def _run(self, action: str, lease: str, time: float, charges: Sequence[Charge]) -> list[bytes]:
        keys = [name for charge in charges for name in self._names(charge.bucket)]
        arguments: list[Any] = [action, self._algorithm, lease, f"{time:.6f}"]
        for bucket, requests, tokens, concurrent in charges:
            arguments += (bucket.requests, bucket.tokens, bucket.concurrent, requests, tokens, concurrent)
        answer: list[bytes] = await self._bounded(self._script(keys=keys, args=arguments))
        return answer

    async def _bounded(self, call: Any) -> Any:
        """What `call` gives. Raises LedgerDown; while Redis is down, only one call in a while tries it."""
        loop = asyncio.get_running_loop()
        if loop.time() < self._down_until:
            if asyncio.iscoroutine(call):
                call.close()
            raise LedgerDown("Redis is down.")
        try:
            async with asyncio.timeout(self._timeout):
                answer = await call
        except (RedisError, OSError, TimeoutError) as error:
            self._down_until = loop.time() + self._retry_interval
            raise LedgerDown(f"Redis cannot be used: {error}") from error
        return answer

    def _names(self, bucket: Bucket) -> tuple[str, str]:
        name = self._prefix + bucket.digest.hex()
        return name, name + ":held"


def _standing(fields: Sequence[bytes]) -> tuple[int, float, int, float]:
    return int(float(fields[0])), float(fields[1]), int(float(fields[2])), float(fields[3])
