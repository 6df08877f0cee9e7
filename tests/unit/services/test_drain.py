"""The steps on virtual time; the signals on the loop of the test."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import TYPE_CHECKING

import pytest
import uvicorn

from services.bentoml_patches import HURRY
from services.drain import Drain, drain_on_signals, own_server
from services.settings.drain import DrainSettings
from tests.virtual_time import run_virtually
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Recorder:
    """`Drained` that notes each step and when it was taken."""

    def __init__(self, requests: int = 0) -> None:
        self.requests = requests
        self.steps: list[tuple[str, float]] = []

    def active(self) -> int:
        return self.requests

    def announce(self) -> None:
        self.note("announce")

    def refuse(self) -> None:
        self.note("refuse")

    def abandon(self) -> None:
        self.note("abandon")

    def note(self, step: str) -> None:
        self.steps.append((step, round(asyncio.get_running_loop().time(), 1)))


def drained(recorder: Recorder, act: Callable[[Drain], None]) -> list[tuple[str, float]]:
    """The steps of a drain with a second of delay and ten for requests, which `act` begins."""

    async def scenario() -> None:
        finished = asyncio.Event()
        drain = Drain(recorder, DrainSettings(delay=1.0, timeout=10.0), finished.set)
        act(drain)
        await finished.wait()
        recorder.note("finish")

    run_virtually(scenario())
    return recorder.steps


def test_idle_process_ends_once_load_balancers_had_their_time() -> None:
    assert drained(Recorder(), Drain.begin) == [("announce", 0), ("refuse", 1), ("finish", 1)]


def test_requests_under_way_are_waited_for() -> None:
    recorder = Recorder(2)

    def act(drain: Drain) -> None:
        drain.begin()
        asyncio.get_running_loop().call_later(5, setattr, recorder, "requests", 0)

    assert drained(recorder, act) == [("announce", 0), ("refuse", 1), ("finish", 5)]


def test_requests_that_take_too_long_are_given_up() -> None:
    steps = drained(Recorder(1), Drain.begin)
    assert steps == [("announce", 0), ("refuse", 1), ("abandon", 11), ("finish", 12)]


def test_who_is_in_a_hurry_waits_for_requests_alone() -> None:
    steps = drained(Recorder(1), lambda drain: drain.begin(hurry=True))
    assert steps == [("announce", 0), ("refuse", 0), ("abandon", 10), ("finish", 11)]


def test_asked_again_it_gives_up_at_once() -> None:
    recorder = Recorder(1)

    def act(drain: Drain) -> None:
        drain.begin()
        asyncio.get_running_loop().call_later(3, drain.begin)

    assert drained(recorder, act) == [("announce", 0), ("refuse", 1), ("abandon", 3), ("finish", 4)]


@pytest.fixture
def server() -> Iterator[uvicorn.Server]:
    """A uvicorn that handles the signals of this process, as `bentoml serve` has it, though it serves nothing."""

    async def nothing(*_: object) -> None:
        raise AssertionError

    server = uvicorn.Server(uvicorn.Config(nothing))
    before = {wish: signal.signal(wish, server.handle_exit) for wish in (signal.SIGTERM, signal.SIGINT)}
    yield server
    for wish, handler in before.items():
        signal.signal(wish, handler)


@pytest.mark.parametrize("wish", [signal.SIGTERM, signal.SIGINT, HURRY])
async def test_signal_drains_and_then_ends_uvicorn_in_good_order(server: uvicorn.Server, wish: signal.Signals) -> None:
    recorder = Recorder(1)
    drain_on_signals(DrainSettings(delay=0.0, timeout=60.0), recorder)
    os.kill(os.getpid(), wish)
    await until(lambda: [step for step, _ in recorder.steps] == ["announce", "refuse"])
    assert not server.should_exit
    recorder.requests = 0
    await until(lambda: server.should_exit)
    assert server.config.timeout_graceful_shutdown
    for handled in (signal.SIGTERM, signal.SIGINT, HURRY):
        asyncio.get_running_loop().remove_signal_handler(handled)


async def test_dependency_leaves_its_requests_to_uvicorn_and_waits_for_nobody(server: uvicorn.Server) -> None:
    closings: list[bool] = []
    drain_on_signals(DrainSettings(delay=60.0, timeout=7.5), closing=lambda: closings.append(server.should_exit))
    os.kill(os.getpid(), signal.SIGTERM)
    await until(lambda: server.should_exit)
    assert closings == [False], "what holds connections open must hear of it before uvicorn waits for them"
    assert server.config.timeout_graceful_shutdown == 8
    for handled in (signal.SIGTERM, signal.SIGINT, HURRY):
        asyncio.get_running_loop().remove_signal_handler(handled)


async def test_under_anything_but_uvicorn_signals_are_left_alone() -> None:
    before = signal.getsignal(signal.SIGTERM)
    assert own_server() is None
    drain_on_signals(DrainSettings(), Recorder())
    assert signal.getsignal(signal.SIGTERM) is before
