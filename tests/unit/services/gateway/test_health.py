from __future__ import annotations

import asyncio

import pytest

from services.errors import Unavailable
from services.gateway.health import HealthMonitor
from tests.fakes import FakeDependency
from tests.virtual_time import run_virtually

INTERVAL = 0.5


def make() -> tuple[HealthMonitor, FakeDependency, FakeDependency]:
    classifier, llm = FakeDependency("Classifier"), FakeDependency("language model")
    return HealthMonitor({"classifier": classifier, "llm": llm}, INTERVAL), classifier, llm


def unavailable(monitor: HealthMonitor, name: str) -> Unavailable:
    with pytest.raises(Unavailable) as caught:
        monitor.require(name)
    return caught.value


async def test_nothing_is_ready_before_the_first_look() -> None:
    monitor, *_ = make()
    error = unavailable(monitor, "llm")
    assert error.message == "The language model is still starting."
    assert error.headers() == {"retry-after": "5"}


async def test_from_starting_to_ready_to_down_and_back() -> None:
    monitor, _, llm = make()
    llm.status = {"state": "starting", "reason": "Loading the weights."}
    assert (await monitor.look())["llm"].state == "starting"
    assert unavailable(monitor, "llm").message == "The language model is still starting."
    monitor.require("classifier")

    llm.status = {"state": "ready", "model": "tandem-mini"}
    assert (await monitor.look())["llm"].ready
    monitor.require("llm")
    assert monitor.last("llm").detail["model"] == "tandem-mini"

    llm.die()
    assert (await monitor.look())["llm"].state == "down"
    assert unavailable(monitor, "llm").headers() == {"retry-after": "2"}
    monitor.require("classifier")

    llm.status = {"state": "ready"}
    await monitor.look()
    monitor.require("llm")


async def test_dependency_that_never_was_up_is_starting_and_not_down() -> None:
    monitor, _, llm = make()
    llm.die()
    for _ in range(5):
        assert (await monitor.look())["llm"].state == "starting"


async def test_failed_start_says_why() -> None:
    monitor, _, llm = make()
    llm.status = {"state": "failed", "reason": "Out of memory."}
    await monitor.look()
    assert unavailable(monitor, "llm").message == "The language model could not start; /readyz says why."


async def test_busy_dependency_is_given_three_looks() -> None:
    monitor, classifier, _ = make()
    await monitor.look()
    for round_ in range(2):
        classifier.status = Unavailable("The Classifier does not answer.")
        for _ in range(2):
            assert (await monitor.look())["classifier"].state == "down"
            monitor.require("classifier")
        if round_ == 0:
            classifier.status = {"state": "ready"}
            await monitor.look()
    await monitor.look()
    assert unavailable(monitor, "classifier").message == "The Classifier is down and being restarted."
    assert monitor.last("classifier").reason == "The Classifier does not answer."


@pytest.mark.parametrize(
    "status",
    [b"", b"not JSON", b"[]", b'{"state": "\xff"}', b"[" * 100_000, RuntimeError("Session is closed")],
    ids=["empty", "no JSON", "no object", "no UTF-8", "deep", "unforeseen"],
)
async def test_answer_that_cannot_be_read_is_a_miss(status: bytes | Exception) -> None:
    monitor, classifier, _ = make()
    await monitor.look()
    classifier.status = status
    for _ in range(3):
        assert (await monitor.look())["classifier"].state == "down"
    assert unavailable(monitor, "classifier").message.startswith("The Classifier is down")
    classifier.status = {"state": "ready"}
    assert (await monitor.look())["classifier"].ready


async def test_concurrent_callers_share_one_look() -> None:
    monitor, classifier, llm = make()
    classifier.gate.clear()
    looks = [asyncio.create_task(monitor.look()) for _ in range(5)]
    await asyncio.sleep(0)
    looks[0].cancel()
    await asyncio.sleep(0)
    classifier.gate.set()
    seen = await asyncio.gather(*looks[1:])
    assert all(health["classifier"].ready for health in seen)
    assert (classifier.probes, llm.probes) == (1, 1)
    await monitor.look()
    assert (classifier.probes, llm.probes) == (2, 2)


def test_watch_looks_each_interval_whatever_happens() -> None:
    async def scenario() -> None:
        monitor, classifier, llm = make()
        monitor.start()
        await asyncio.sleep(0.1)
        assert classifier.probes == 1
        monitor.require("llm")
        llm.status = RuntimeError("unforeseen")
        await asyncio.sleep(4 * INTERVAL)
        assert classifier.probes == 5
        unavailable(monitor, "llm")
        llm.status = {"state": "ready"}
        await asyncio.sleep(INTERVAL)
        monitor.require("llm")
        await monitor.stop()
        await asyncio.sleep(10 * INTERVAL)
        assert classifier.probes == 6

    run_virtually(scenario())


async def test_stop_leaves_nothing_running() -> None:
    monitor, classifier, _ = make()
    classifier.gate.clear()
    monitor.start()
    await asyncio.wait_for(classifier.probed.wait(), 5)
    await monitor.stop()
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_stop_without_start() -> None:
    monitor, *_ = make()
    await monitor.stop()
