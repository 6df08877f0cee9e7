"""Limits on tokens a minute: what is reserved, what is settled, what is given back."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest

from tests.fake_llm import LLM_NAME, Answer, chat_events
from tests.gateway import Bundle
from tests.integration.control.asking import BODIES, OPENAI, asking, bearer, streaming
from tests.keys import control_over, make_key

if TYPE_CHECKING:
    from pathlib import Path

    import httpx


async def remaining(client: httpx.AsyncClient, secret: str) -> int:
    """Tokens that a key has left, asked with a request that costs one at most."""
    answer = await client.post("/v1/models", headers=bearer(secret))
    assert answer.status_code == 405
    answer = await client.post(
        OPENAI, json={"model": LLM_NAME, "messages": [], "max_tokens": 10**9}, headers=bearer(secret)
    )
    assert answer.status_code == 429
    return int(answer.headers["x-ratelimit-remaining-tokens"])


async def test_tokens_are_reserved_and_settled_with_what_was_used(tmp_path: Path) -> None:
    control, store = control_over(tmp_path, caller={"tokens_per_minute": 1000})
    secret = await make_key(store, "talker")
    bundle = Bundle(control=control)
    bundle.llm.answer = Answer([json.dumps({"choices": [], "usage": {"total_tokens": 42}}).encode()])
    async with asking(control, bundle) as client:
        answer = await client.post(OPENAI, json=BODIES[OPENAI] | {"max_tokens": 800}, headers=bearer(secret))
        assert answer.status_code == 200
        assert int(answer.headers["x-ratelimit-remaining-tokens"]) < 200
        assert await remaining(client, secret) == 1000 - 42


async def test_reserved_tokens_keep_out_what_would_not_fit(tmp_path: Path) -> None:
    control, store = control_over(tmp_path, caller={"tokens_per_minute": 1000})
    secret = await make_key(store, "talker")
    bundle = Bundle(control=control)
    bundle.llm.answer = streaming("a")
    bundle.llm.answer.hold = asyncio.Event()
    async with asking(control, bundle) as client:
        body = BODIES[OPENAI] | {"max_tokens": 400}
        asked = [asyncio.create_task(client.post(OPENAI, json=body, headers=bearer(secret))) for _ in range(5)]
        done, waiting = await asyncio.wait(asked, timeout=0.2)
        assert [task.result().status_code for task in done] == [429] * 3
        bundle.llm.answer.hold.set()
        assert [answer.status_code for answer in await asyncio.gather(*waiting)] == [200] * 2


async def test_usage_of_a_stream_is_asked_for_and_hidden_from_who_did_not(tmp_path: Path) -> None:
    control, store = control_over(tmp_path, caller={"tokens_per_minute": 1000})
    secret = await make_key(store, "talker")
    bundle = Bundle(control=control)
    bundle.llm.answer = streaming("It", " is", usage=77)
    async with asking(control, bundle) as client:
        answer = await client.post(OPENAI, json=BODIES[OPENAI] | {"stream": True}, headers=bearer(secret))
        assert answer.content == b"".join(chat_events("It", " is"))
        asked = json.loads(bundle.llm.asked[-1].body)
        assert asked == BODIES[OPENAI] | {"stream": True, "stream_options": {"include_usage": True}}
        assert await remaining(client, secret) == 1000 - 77
        wanted = {"stream": True, "stream_options": {"include_usage": True}}
        answer = await client.post(OPENAI, json=BODIES[OPENAI] | wanted, headers=bearer(secret))
        assert b'"total_tokens":77' in answer.content


@pytest.mark.parametrize("stream", ['"stream": false', '"stream": true, "stream_options": {"include_usage": true}'])
async def test_request_that_gets_its_usage_passes_byte_for_byte(tmp_path: Path, stream: str) -> None:
    control, store = control_over(tmp_path, caller={"tokens_per_minute": 1_000_000})
    secret = await make_key(store, "talker")
    bundle = Bundle(control=control)
    body = f'{{ {stream}, "model": "{LLM_NAME}", "temperature": 0.70 }}'.encode()
    async with asking(control, bundle) as client:
        await client.post(OPENAI, content=body, headers=bearer(secret))
    assert bundle.llm.asked[-1].body == body


@pytest.mark.parametrize("answer", [Answer([b"{}"], status=400), Answer(error=OSError("gone")), Answer([b"not json"])])
async def test_tokens_of_a_request_that_fails_are_given_back(tmp_path: Path, answer: Answer) -> None:
    control, store = control_over(tmp_path, caller={"tokens_per_minute": 1000})
    secret = await make_key(store, "talker")
    bundle = Bundle(control=control)
    bundle.llm.answer = answer
    async with asking(control, bundle) as client:
        await client.post(OPENAI, json=BODIES[OPENAI], headers=bearer(secret))
        assert await remaining(client, secret) == 1000
