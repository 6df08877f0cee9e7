from __future__ import annotations

import asyncio

from services.llm.pulse import Pulse
from tests.virtual_time import run_virtually


def test_silence_is_noticed_and_forgotten() -> None:
    async def scenario() -> None:
        answers = asyncio.Event()
        pulse = Pulse(10.0, 60.0)
        watching = asyncio.create_task(pulse.watch(answers.wait))
        await asyncio.sleep(9)
        assert not pulse.hung
        await asyncio.sleep(2)
        assert pulse.hung
        assert not pulse.lost
        await asyncio.sleep(50)
        assert pulse.lost
        answers.set()
        await asyncio.sleep(0.1)
        assert not pulse.hung
        assert not pulse.lost
        await asyncio.sleep(60)
        assert not pulse.hung
        watching.cancel()

    run_virtually(scenario())


async def test_process_that_was_itself_stopped_suspects_nobody() -> None:
    """However long it was: what counts is how often it has looked."""
    answers = asyncio.Event()
    pulse = Pulse(0.5, 60.0)
    watching = asyncio.create_task(pulse.watch(answers.wait))
    await asyncio.sleep(0)
    loop = asyncio.get_running_loop()
    clock = loop.time
    loop.time = lambda: clock() + 3600  # type: ignore[method-assign]
    await asyncio.sleep(0.05)
    assert not pulse.hung
    watching.cancel()


async def test_death_is_left_to_others() -> None:
    async def dead() -> None:
        raise RuntimeError("dead")

    pulse = Pulse(10.0, 60.0)
    await pulse.watch(dead)
    assert not pulse.hung
