from __future__ import annotations

import asyncio
import logging
import threading
from typing import TYPE_CHECKING

import pytest

from models.llm.contract import EngineConfigError
from services.llm.failure import sentence
from services.llm.host import EngineThread
from services.llm.pulse import Pulse
from tests.asgi import no_fallback
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from services.asgi import ASGIApp


class FakeEngine:
    """Loads when told to, or raises; lives until told to die."""

    model = "mini"
    models: tuple[str, ...] = ("mini",)

    def __init__(self, failure: BaseException | None = None) -> None:
        self.app: ASGIApp = no_fallback
        self.loaded = threading.Event()
        self.closed = threading.Event()
        self.abandoned = False
        self.dead = False
        self.answers = asyncio.Event()
        self.answers.set()
        self.open_loop: asyncio.AbstractEventLoop | None = None
        self._failure = failure

    def load(self) -> None:
        assert self.loaded.wait(5)
        if self._failure:
            raise self._failure

    async def open(self) -> ASGIApp:
        self.open_loop = asyncio.get_running_loop()
        return self.app

    async def close_app(self) -> None:
        self.open_loop = None

    def alive(self) -> bool:
        return not self.dead

    async def respond(self) -> None:
        await self.answers.wait()

    def abandon(self) -> None:
        self.abandoned = True
        self._failure = RuntimeError("abandoned")
        self.loaded.set()

    def close(self) -> None:
        self.closed.set()

    def explain(self, error: BaseException | None) -> str:
        return sentence(error, None, "cpu")


class Ended:
    """Stands for the end of the process."""

    def __init__(self) -> None:
        self.codes: list[int] = []

    def __call__(self, code: int) -> None:
        self.codes.append(code)


@pytest.fixture
async def stopping() -> AsyncIterator[list[EngineThread]]:
    """Hosts that are stopped after the test."""
    hosts: list[EngineThread] = []
    yield hosts
    for host in hosts:
        await host.stop()


async def test_the_host_answers_while_the_engine_loads(stopping: list[EngineThread]) -> None:
    engine = FakeEngine()
    host = EngineThread(engine, Pulse(30.0, 300.0), Ended())
    stopping.append(host)
    host.start()
    assert host.app is None
    assert host.status.state == "starting"
    assert "mini is loading" in str(host.status.reason)
    engine.loaded.set()
    await until(lambda: host.app)
    assert host.app is engine.app
    assert engine.open_loop is asyncio.get_running_loop()
    first, second = host.status, host.status
    assert first.state == "ready"
    assert first.reason is None
    assert first.loading_seconds == second.loading_seconds


async def test_stopping_a_ready_engine(stopping: list[EngineThread]) -> None:
    engine = FakeEngine()
    engine.loaded.set()
    ended = Ended()
    host = EngineThread(engine, Pulse(30.0, 300.0), ended)
    host.start()
    await until(lambda: host.app)
    await host.stop()
    assert engine.closed.is_set()
    assert engine.open_loop is None
    assert host.app is None
    assert ended.codes == []
    await host.stop()


async def test_stopping_an_engine_that_loads(caplog: pytest.LogCaptureFixture) -> None:
    engine = FakeEngine()
    host = EngineThread(engine, Pulse(30.0, 300.0), Ended())
    host.start()
    await host.stop()
    assert engine.abandoned
    assert engine.closed.is_set()
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


async def test_stopping_in_the_middle_of_what_cannot_be_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.llm.host._ABANDON_SECONDS", 0.01)
    engine = FakeEngine()
    monkeypatch.setattr(engine, "abandon", lambda: None)
    ended = Ended()
    host = EngineThread(engine, Pulse(30.0, 300.0), ended)
    host.start()
    await host.stop()
    assert ended.codes == [0]
    engine.loaded.set()
    await until(engine.closed.is_set)


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        (EngineConfigError("Set X to Y.", setting="x"), "Set X to Y."),
        (RuntimeError("it broke"), "it broke"),
        (SystemExit(3), "SystemExit: 3"),
    ],
)
async def test_a_failed_start_is_told_once_and_the_service_stays(
    failure: BaseException, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    engine = FakeEngine(failure)
    engine.loaded.set()
    ended = Ended()
    host = EngineThread(engine, Pulse(30.0, 300.0), ended)
    host.start()
    await until(engine.closed.is_set)
    assert host.status.state == "failed"
    assert host.status.reason == reason
    assert host.app is None
    errors = [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
    assert errors == [f"The language model cannot be started: {reason}"]
    assert ended.codes == []
    await host.stop()


async def test_the_process_ends_with_its_engine(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("services.llm.host._FLUSH_SECONDS", 0)
    engine = FakeEngine()
    engine.loaded.set()
    ended = Ended()
    host = EngineThread(engine, Pulse(30.0, 300.0), ended)
    host.start()
    await until(lambda: host.app)
    engine.dead = True
    await until(lambda: ended.codes)
    assert ended.codes == [1]
    assert host.app is None
    assert "engine died" in caplog.text


async def test_engine_that_does_not_answer_is_hung_and_recovers(stopping: list[EngineThread]) -> None:
    engine = FakeEngine()
    engine.loaded.set()
    engine.answers.clear()
    host = EngineThread(engine, Pulse(0.05, 300.0), Ended())
    stopping.append(host)
    host.start()
    await until(lambda: host.status.state == "hung")
    assert host.status.reason
    assert host.app is not None
    engine.answers.set()
    await until(lambda: host.status.state == "ready")


async def test_engine_that_never_answers_ends_the_process(caplog: pytest.LogCaptureFixture) -> None:
    engine = FakeEngine()
    engine.loaded.set()
    engine.answers.clear()
    ended = Ended()
    host = EngineThread(engine, Pulse(0.05, 0.1), ended)
    with caplog.at_level(logging.ERROR):
        host.start()
        await until(lambda: ended.codes == [1])
    assert "has not answered" in caplog.text
