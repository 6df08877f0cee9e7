"""What the language model's queue takes, and how long a client waits."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest

from services.settings.control import AdmissionSettings
from tests.fake_llm import Answer, chat_answer, chat_events
from tests.gateway import Bundle
from tests.integration.control.asking import BODIES, NATIVE, OPENAI, asking, every, message_of, streaming
from tests.keys import control_over

if TYPE_CHECKING:
    from pathlib import Path


async def test_full_queue_of_the_language_model_is_429_at_once(tmp_path: Path) -> None:
    control, _ = control_over(tmp_path)
    bundle = Bundle(control=control, admission=AdmissionSettings(llm_in_flight=2, llm_queue=3))
    bundle.llm.answer = streaming("a")
    bundle.llm.answer.hold = asyncio.Event()
    async with asking(control, bundle) as client:
        asked = [asyncio.create_task(client.post(OPENAI, json=BODIES[OPENAI])) for _ in range(10)]
        done, waiting = await asyncio.wait(asked, timeout=0.3)
        assert [task.result().status_code for task in done] == [429] * 5
        assert all(task.result().elapsed.total_seconds() < 0.3 for task in done)
        assert bundle.llm.open == 2
        for task in list(waiting)[:2]:
            task.cancel()
        await asyncio.sleep(0)
        bundle.llm.answer.hold.set()
        answers = await asyncio.gather(*waiting, return_exceptions=True)
        assert sum(getattr(answer, "status_code", 0) == 200 for answer in answers) == 3
    gate = bundle.dataplane._llm.gate
    assert (gate.in_flight, gate.tokens_in_flight, gate.queued) == (0, 0, 0)


@pytest.mark.parametrize("seconds", ["0", "-1", "soon", "nan", "", "1_0", "infinity"])
async def test_timeout_that_is_no_number_of_seconds_is_400(tmp_path: Path, seconds: str) -> None:
    control, _ = control_over(tmp_path)
    async with asking(control) as client:
        answer = await client.post(NATIVE, json=BODIES[NATIVE], headers={"x-request-timeout": seconds})
    assert answer.status_code == 400
    assert answer.json()["param"] == "x-request-timeout"


@every
async def test_time_that_runs_out_is_504(tmp_path: Path, path: str) -> None:
    control, _ = control_over(tmp_path)
    bundle = Bundle(control=control)
    bundle.classifier.gate.clear()
    bundle.llm.answer = chat_answer("Late.")
    bundle.llm.answer.hold = asyncio.Event()
    async with asking(control, bundle) as client:
        answer = await client.post(path, json=BODIES[path], headers={"x-request-timeout": "0.1"})
        assert answer.status_code == 504
        message_of(answer, path, "deadline_exceeded")
        bundle.classifier.gate.set()
    assert bundle.llm.open == 0


async def test_stream_whose_time_runs_out_ends_with_an_error_event(tmp_path: Path) -> None:
    control, _ = control_over(tmp_path)
    bundle = Bundle(control=control)
    bundle.llm.answer = Answer(chat_events("It")[:1], content_type="text/event-stream", hold=asyncio.Event())
    async with asking(control, bundle) as client:
        answer = await client.post(OPENAI, json=BODIES[OPENAI] | {"stream": True}, headers={"x-request-timeout": "0.1"})
    assert answer.status_code == 200
    *_, last = answer.content.strip().split(b"\n\n")
    assert json.loads(last.removeprefix(b"data: "))["error"]["code"] == "deadline_exceeded"
    assert bundle.llm.open == 0


async def test_bounds_on_messages_and_tokens_are_kept_before_the_language_model_is_asked(tmp_path: Path) -> None:
    control, _ = control_over(tmp_path)
    bounds = AdmissionSettings(max_messages=2, max_new_tokens=100, llm_max_body_bytes=2048)
    bundle = Bundle(control=control, admission=bounds)
    message = {"role": "user", "content": "Why?"}
    async with asking(control, bundle) as client:
        for wrong, status in (
            ({"messages": [message] * 3}, 400),
            ({"max_tokens": 51, "n": 2}, 400),
            ({"messages": [{"role": "user", "content": "x" * 3000}]}, 413),
        ):
            answer = await client.post(OPENAI, json=BODIES[OPENAI] | wrong)
            assert answer.status_code == status
    assert not bundle.llm.asked
