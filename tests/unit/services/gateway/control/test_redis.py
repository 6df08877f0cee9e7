"""Keys and limits in a real Redis."""

from __future__ import annotations

import asyncio
import itertools
import random
from typing import TYPE_CHECKING

import pytest
from prometheus_client import CollectorRegistry

from services.errors import LimitExceeded, Unavailable
from services.gateway.control import path
from services.gateway.control.keys import KeyStoreDown, without
from services.gateway.control.keys_redis import RedisKeys
from services.gateway.control.ledger import Bucket, Charge, LedgerDown, Refused
from services.gateway.control.ledger_memory import MemoryLedger
from services.gateway.control.ledger_redis import RedisLedger
from services.gateway.control.limits import Limits
from services.gateway.control.rates import ALGORITHMS
from services.settings.control import LimitsSettings
from tests.keys import make_key
from tests.metrics import make_metrics, value
from tests.redis_server import RedisServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from services.gateway.control.ledger import Ledger, Reserved

every = pytest.mark.parametrize("algorithm", ALGORITHMS)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    redis = RedisServer(tmp_path)
    redis.start()
    yield redis
    redis.stop()


def ledger_of(server: RedisServer, algorithm: str = "sliding_window", timeout: float = 2.0) -> RedisLedger:
    return RedisLedger(server.client(), algorithm, prefix="test", timeout=timeout, retry_interval=0.05)


def bucket(name: str = "a", requests: int = 0, tokens: int = 0, concurrent: int = 0) -> Bucket:
    return Bucket.of("caller", name, requests, tokens, concurrent)


async def outcome(ledger: Ledger, charges: list[Charge]) -> tuple[Reserved | None, Refused | None]:
    try:
        return await ledger.reserve(charges), None
    except Refused as refused:
        return None, refused


async def passes(ledger: Ledger, *charges: Charge) -> bool:
    try:
        await ledger.reserve(charges)
    except Refused:
        return False
    return True


@every
async def test_of_200_at_once_over_four_gateways_50_pass(server: RedisServer, algorithm: str) -> None:
    ledgers = [ledger_of(server, algorithm) for _ in range(4)]
    limited = bucket(requests=50)
    passed = await asyncio.gather(*(passes(ledgers[at % 4], Charge(limited, 1, 0, 0)) for at in range(200)))
    # While this runs a bucket may fill up by one, and a minute of the clock may begin.
    assert 50 <= sum(passed) <= 51 or (algorithm == "fixed_window" and sum(passed) <= 100)
    for ledger in ledgers:
        await ledger.close()


@every
async def test_lua_counts_as_python_does(server: RedisServer, algorithm: str) -> None:
    dice = random.Random(algorithm)
    now = [0.0]
    ours = MemoryLedger(ALGORITHMS[algorithm], 64, clock=lambda: now[0])
    theirs = ledger_of(server, algorithm)
    buckets = [bucket("a", requests=20, tokens=500), bucket("b", requests=7), bucket("c", tokens=90)]
    made = []
    for _ in range(150):
        charges = [Charge(one, dice.randint(0, 3), dice.randint(0, 60), 0) for one in dice.sample(buckets, 2)]
        reserved, refused = await outcome(theirs, charges)
        if reserved is None:
            _, refused_too = await outcome(ours, charges)
            assert refused is not None
            assert refused_too is not None
            assert (refused_too.what, refused_too.standing.bucket) == (refused.what, refused.standing.bucket)
            assert refused_too.wait == pytest.approx(refused.wait, abs=0.5)
            continue
        now[0] = reserved.since
        mine = await ours.reserve(charges)
        for one, other in zip(mine.standings, reserved.standings, strict=True):
            assert one.bucket == other.bucket
            assert (one.requests, one.tokens) == (other.requests, other.tokens)
            assert one.requests_reset == pytest.approx(other.requests_reset, abs=1e-3)
            assert one.tokens_reset == pytest.approx(other.tokens_reset, abs=1e-3)
        made.append((charges, reserved, mine))
        if dice.random() < 0.4:
            charges, reserved, mine = made.pop(dice.randrange(len(made)))
            back = [Charge(one, -requests, -tokens // 2, 0) for one, requests, tokens, _ in charges]
            await theirs._settle(back, reserved)
            ours.settle(back, mine)
    await theirs.close()


async def test_requests_under_way_are_bounded_and_a_dead_gateways_run_out(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    limited = bucket(concurrent=2)
    living, dying = ledger_of(server), ledger_of(server)
    reserved = await living.reserve([Charge(limited, 0, 0, 1)])
    monkeypatch.setattr("services.gateway.control.ledger_redis.LEASE_SECONDS", 0.2)
    await dying.reserve([Charge(limited, 0, 0, 1)])
    assert not await passes(living, Charge(limited, 0, 0, 1))
    await asyncio.sleep(0.3)
    assert await passes(living, Charge(limited, 0, 0, 1))
    living.settle([Charge(limited, 0, 0, -1)], reserved)
    await asyncio.gather(*living._settling)
    assert await passes(living, Charge(limited, 0, 0, 1))
    await living.close()
    await dying.close()


async def test_leases_of_what_is_under_way_last_as_long_as_it_does(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.gateway.control.ledger_redis.LEASE_SECONDS", 0.3)
    ledger, limited = ledger_of(server), bucket(concurrent=1)
    await ledger.reserve([Charge(limited, 0, 0, 1)])
    for _ in range(6):
        await asyncio.sleep(0.1)
        await ledger.tend()
        assert not await passes(ledger, Charge(limited, 0, 0, 1))
    await ledger.close()


@pytest.mark.parametrize("policy", ["fail_open", "fail_closed"])
async def test_redis_that_is_gone_follows_the_policy_and_recovers_by_itself(server: RedisServer, policy: str) -> None:
    settings = LimitsSettings.model_validate({"caller": {"requests_per_minute": 1}, "on_store_failure": policy})
    ledger = ledger_of(server)
    limits = Limits(settings, ledger, make_metrics())
    entry = limits.of_caller("key a")
    assert entry is not None
    charges = entry.toll.charges
    assert await limits.reserve(charges)
    with pytest.raises(LimitExceeded):
        await limits.reserve(charges)
    server.stop()
    for _ in range(3):
        if policy == "fail_open":
            assert await limits.reserve(charges) is None
        else:
            with pytest.raises(Unavailable):
                await limits.reserve(charges)
    server.start()
    await asyncio.sleep(0.06)
    assert await limits.reserve(charges)
    await ledger.close()


async def test_that_redis_is_gone_is_seen_before_anybody_asks(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(path, "_TEND_SECONDS", 0.02)
    registry = CollectorRegistry()
    metrics = make_metrics(registry)
    control = path.Control(None, Limits(LimitsSettings(), ledger_of(server), metrics), poll_interval=60)

    async def becomes(up: float) -> None:
        async with asyncio.timeout(20):
            while value(metrics, registry, "tandem_limiter_up") != up:  # noqa: ASYNC110 - a gauge tells nobody
                await asyncio.sleep(0.02)

    await control.start()
    await becomes(1)
    server.stop()
    await becomes(0)
    server.start()
    await becomes(1)
    await control.stop()


async def test_redis_that_hangs_costs_one_caller_the_timeout_and_the_next_nothing(server: RedisServer) -> None:
    ledger, limited = ledger_of(server, timeout=0.2), bucket(requests=5)
    other = server.client()
    assert await passes(ledger, Charge(limited, 1, 0, 0))
    loop = asyncio.get_running_loop()
    pausing = asyncio.create_task(other.execute_command("CLIENT", "PAUSE", "1500"))  # type: ignore[no-untyped-call]
    await pausing
    for bound in (0.5, 0.02):
        began = loop.time()
        with pytest.raises(LedgerDown):
            await ledger.reserve([Charge(limited, 1, 0, 0)])
        assert loop.time() - began < bound
    await ledger.close()
    await other.aclose()


async def test_keys_are_the_same_on_every_machine_within_a_look(server: RedisServer) -> None:
    here, there = (RedisKeys(server.client(), prefix="test", timeout=2) for _ in range(2))
    assert await here.fetch() == ()
    assert await here.exists()
    await asyncio.gather(*(make_key(store, f"key-{at}") for at, store in zip(range(6), itertools.cycle((here, there)))))
    found = await there.fetch()
    assert found is not None
    assert len(found) == 6
    assert await there.fetch() is None
    await here.change(lambda keys: without(keys, "key-0"))
    assert len(await there.fetch() or ()) == 5
    server.stop()
    with pytest.raises(KeyStoreDown):
        await there.fetch()
    server.start()
    assert await there.fetch() == ()
    await here.close()
    await there.close()
