"""Puts the control path together from the settings: which stores, which ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING

from services.gateway.control.identity import Identity
from services.gateway.control.keys_file import FileKeys
from services.gateway.control.ledger import LedgerDown, NoLedger
from services.gateway.control.ledger_file import FileLedger, server_ledger_path
from services.gateway.control.ledger_memory import MemoryLedger
from services.gateway.control.limits import Limits
from services.gateway.control.path import Control
from services.gateway.control.rates import ALGORITHMS

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from services.gateway.control.keys import KeyStore
    from services.gateway.control.ledger import Ledger
    from services.settings.control import RedisSettings
    from services.settings.tree import Settings
    from services.telemetry.metrics import Metrics


def create_control(settings: Settings, metrics: Metrics, *, required: bool = False) -> Control:
    """The control path that `settings` describe. `required` says that a key is needed although there may be none yet."""
    identity = None
    if settings.auth == "keys":
        identity = Identity(key_store(settings), required=required or settings.redis.url is not None)
    return Control(identity, Limits(settings.limits, _ledger(settings), metrics), settings.keys.poll_interval)


def key_store(settings: Settings) -> KeyStore:
    """Where the settings say that keys are kept."""
    redis = settings.redis
    if redis.url is None:
        return FileKeys(settings.keys.file)
    from services.gateway.control.keys_redis import RedisKeys

    return RedisKeys(redis_client(redis), prefix=redis.prefix, timeout=redis.timeout)


def redis_client(settings: RedisSettings) -> Redis:
    """A client that gives up soon and leaves it to its user when to try again."""
    from redis.asyncio import Redis
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff

    assert settings.url is not None
    return Redis.from_url(
        settings.url.get_secret_value(),
        socket_timeout=settings.timeout,
        socket_connect_timeout=settings.timeout,
        retry=Retry(NoBackoff(), 1),
    )


def _ledger(settings: Settings) -> Ledger:
    limits, redis = settings.limits, settings.redis
    if redis.url is not None:
        from services.gateway.control.ledger_redis import RedisLedger

        return RedisLedger(
            redis_client(redis),
            limits.algorithm,
            prefix=redis.prefix,
            timeout=redis.timeout,
            retry_interval=redis.retry_interval,
        )
    algorithm = ALGORITHMS[limits.algorithm]
    if settings.gateway.workers == 1 and limits.ledger is None:
        return MemoryLedger(algorithm, limits.ledger_slots)
    try:
        path = limits.ledger or server_ledger_path(limits.ledger_slots)
        return FileLedger(algorithm, path, limits.ledger_slots)
    except (OSError, LedgerDown) as error:
        return NoLedger(f"The workers cannot share a ledger: {error}")
