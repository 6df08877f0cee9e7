from __future__ import annotations

import asyncio
import multiprocessing
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from services.gateway.control.ledger import Bucket, Charge, LedgerDown, Refused
from services.gateway.control.ledger_file import FileLedger, FileLock, server_ledger_path
from services.gateway.control.ledger_memory import MemoryLedger
from services.gateway.control.rates import ALGORITHMS

if TYPE_CHECKING:
    from pathlib import Path

SLIDING = ALGORITHMS["sliding_window"]


class Clock:
    """Stands still until moved."""

    def __init__(self) -> None:
        self.now = 1_000_020.0

    def __call__(self) -> float:
        return self.now


Make = Callable[..., tuple[MemoryLedger, Clock]]


@pytest.fixture(params=["one process", "a shared file"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Make:
    """Makes a ledger of either kind, and its clock."""

    def make(slots: int = 64) -> tuple[MemoryLedger, Clock]:
        clock = Clock()
        if request.param == "one process":
            return MemoryLedger(SLIDING, slots, clock=clock), clock
        return FileLedger(SLIDING, tmp_path / "ledger", slots, clock=clock), clock

    return make


def bucket(name: str = "a", requests: int = 0, tokens: int = 0, concurrent: int = 0) -> Bucket:
    return Bucket.of("caller", name, requests, tokens, concurrent)


async def passes(ledger: MemoryLedger, *charges: Charge) -> bool:
    try:
        await ledger.reserve(charges)
    except Refused:
        return False
    return True


async def test_of_200_at_once_50_pass(make: Make) -> None:
    ledger, _ = make()
    limited = bucket(requests=50)
    passed = await asyncio.gather(*(passes(ledger, Charge(limited, 1, 0, 0)) for _ in range(200)))
    assert sum(passed) == 50


async def test_standing_says_what_remains_and_when_all_is_back(make: Make) -> None:
    ledger, _ = make()
    limited = bucket(requests=10, tokens=100)
    (standing,) = (await ledger.reserve([Charge(limited, 1, 40, 0)])).standings
    assert (standing.requests, standing.tokens) == (9, 60)
    assert 60 <= standing.requests_reset <= 120


async def test_refusal_charges_nothing_at_all(make: Make) -> None:
    ledger, _ = make()
    roomy, tight = bucket("roomy", requests=10), bucket("tight", requests=1)
    assert await passes(ledger, Charge(tight, 1, 0, 0))
    with pytest.raises(Refused) as caught:
        await ledger.reserve([Charge(roomy, 1, 0, 0), Charge(tight, 1, 0, 0)])
    assert (caught.value.what, caught.value.standing.bucket) == ("requests", tight)
    assert caught.value.wait > 0
    (standing,) = (await ledger.reserve([Charge(roomy, 1, 0, 0)])).standings
    assert standing.requests == 9


async def test_requests_under_way_are_bounded_until_they_end(make: Make) -> None:
    ledger, _ = make()
    limited = bucket(concurrent=2)
    held = [await ledger.reserve([Charge(limited, 1, 0, 1)]) for _ in range(2)]
    assert not await passes(ledger, Charge(limited, 1, 0, 1))
    ledger.settle([Charge(limited, 0, 0, -1)], held[0])
    assert await passes(ledger, Charge(limited, 1, 0, 1))


async def test_more_may_be_under_way_than_a_place_can_note(make: Make) -> None:
    ledger, _ = make()
    limited = bucket(concurrent=40_000)
    held = [await ledger.reserve([Charge(limited, 0, 0, 10_000)]) for _ in range(4)]
    assert not await passes(ledger, Charge(limited, 0, 0, 1))
    for one in held:
        ledger.settle([Charge(limited, 0, 0, -10_000)], one)
    assert await passes(ledger, Charge(limited, 0, 0, 10_000))


async def test_tokens_are_settled_with_what_was_used(make: Make) -> None:
    ledger, _ = make()
    limited = bucket(tokens=1000)
    reserved = await ledger.reserve([Charge(limited, 0, 900, 0)])
    assert not await passes(ledger, Charge(limited, 0, 200, 0))
    ledger.settle([Charge(limited, 0, 100 - 900, 0)], reserved)
    (standing,) = (await ledger.reserve([Charge(limited, 0, 200, 0)])).standings
    assert standing.tokens == 700


async def test_more_buckets_than_slots_counts_as_down_until_some_are_stale(make: Make) -> None:
    ledger, clock = make(slots=16)
    for name in range(16):
        assert await passes(ledger, Charge(bucket(str(name), requests=5), 1, 0, 0))
    with pytest.raises(LedgerDown):
        await ledger.reserve([Charge(bucket("one more", requests=5), 1, 0, 0)])
    clock.now += 121
    assert await passes(ledger, Charge(bucket("one more", requests=5), 1, 0, 0))


async def test_stale_bucket_makes_room_also_behind_many_that_are_not() -> None:
    clock = Clock()
    ledger = MemoryLedger(SLIDING, 64, clock=clock)
    for name in range(63):
        assert await passes(ledger, Charge(bucket(str(name), concurrent=1), 0, 0, 1))
    assert await passes(ledger, Charge(bucket("stale", requests=5), 1, 0, 0))
    clock.now += 121
    for _ in range(3):  # each look is at sixteen of them
        with pytest.raises(LedgerDown):
            await ledger.reserve([Charge(bucket("new", requests=5), 1, 0, 0)])
    assert await passes(ledger, Charge(bucket("new", requests=5), 1, 0, 0))
    assert not await passes(ledger, Charge(bucket("0", concurrent=1), 0, 0, 1))


async def test_slot_with_a_request_under_way_is_never_taken(make: Make) -> None:
    ledger, clock = make(slots=1)
    streaming = bucket("streaming", concurrent=1)
    await ledger.reserve([Charge(streaming, 1, 0, 1)])
    clock.now += 10_000
    with pytest.raises(LedgerDown):
        await ledger.reserve([Charge(bucket("other", requests=5), 1, 0, 0)])
    assert not await passes(ledger, Charge(streaming, 1, 0, 1))


def _ask_often(path: Path, start: object, passed: object) -> None:
    async def ask() -> int:
        ledger = FileLedger(SLIDING, path, 64)
        start.wait()  # type: ignore[attr-defined]
        count = sum([await passes(ledger, Charge(bucket(requests=50), 1, 0, 0)) for _ in range(100)])
        await ledger.close()
        return count

    passed.put(asyncio.run(ask()))  # type: ignore[attr-defined]


def test_workers_that_share_a_file_do_not_multiply_a_limit(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    start, passed = context.Barrier(3), context.Queue()
    workers = [context.Process(target=_ask_often, args=(tmp_path / "ledger", start, passed)) for _ in range(3)]
    for worker in workers:
        worker.start()
    counts = [passed.get(timeout=60) for _ in workers]
    for worker in workers:
        worker.join()
    # A minute of the clock may begin in between, when the one before is still weighed in.
    assert 50 <= sum(counts) <= 51


async def test_what_a_dead_worker_held_is_given_back(tmp_path: Path) -> None:
    limited = bucket(concurrent=1)
    living, dying = (FileLedger(SLIDING, tmp_path / "ledger", 64) for _ in range(2))
    await dying.reserve([Charge(limited, 1, 0, 1)])
    await living.tend()
    assert not await passes(living, Charge(limited, 1, 0, 1))
    await dying.close()
    await living.tend()
    assert await passes(living, Charge(limited, 1, 0, 1))
    await living.close()


async def test_ledger_that_another_process_holds_on_to_is_down_and_then_settles_what_it_owes(tmp_path: Path) -> None:
    path, limited = tmp_path / "ledger", bucket(concurrent=1)
    ledger = FileLedger(SLIDING, path, 64)
    reserved = await ledger.reserve([Charge(limited, 1, 0, 1)])
    with path.open("rb+") as file, FileLock(file.fileno()):
        with pytest.raises(LedgerDown):
            await ledger.reserve([Charge(limited, 1, 0, 1)])
        ledger.settle([Charge(limited, 0, 0, -1)], reserved)
    assert not await passes(ledger, Charge(limited, 1, 0, 1))
    await ledger.tend()
    assert await passes(ledger, Charge(limited, 1, 0, 1))
    await ledger.close()


async def test_ledger_of_somebody_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ledger"
    path.touch(mode=0o666)
    path.chmod(0o666)
    with pytest.raises(LedgerDown, match="somebody else"):
        FileLedger(SLIDING, path, 64)
    path.chmod(0o600)
    path.write_bytes(b"other")
    with pytest.raises(LedgerDown, match="another size"):
        FileLedger(SLIDING, path, 64)


def test_ledgers_of_servers_that_ended_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    first = server_ledger_path(64)
    leftover = first.with_name("ledger-4194305-64.0")
    leftover.touch()
    first.touch()
    assert server_ledger_path(64) == first
    assert first.exists()
    assert not leftover.exists()
