"""Limits on requests a minute and at once, of callers and of models."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from services.gateway.control.keys import KeyLimits
from tests.asgi import Client
from tests.fake_llm import LLM_NAME
from tests.gateway import Bundle
from tests.integration.control.asking import BODIES, NATIVE, OIP, ROW, asking, bearer, every, message_of
from tests.keys import control_over, make_key

if TYPE_CHECKING:
    from pathlib import Path


@every
async def test_of_200_at_once_50_pass_and_the_others_hear_when(tmp_path: Path, path: str) -> None:
    control, store = control_over(tmp_path, caller={"requests_per_minute": 50})
    secret = await make_key(store, "busy")
    other = await make_key(store, "other")
    async with asking(control) as client:
        answers = await asyncio.gather(
            *(client.post(path, json=BODIES[path], headers=bearer(secret)) for _ in range(200))
        )
        assert Counter(answer.status_code for answer in answers) == {200: 50, 429: 150}
        refused = next(answer for answer in answers if answer.status_code == 429)
        assert 1 <= int(refused.headers["retry-after"]) <= 120
        assert refused.headers["x-ratelimit-limit-requests"] == "50"
        assert refused.headers["x-ratelimit-remaining-requests"] == "0"
        assert "50 requests a minute" in message_of(refused, path, "rate_limit_exceeded")
        answer = await client.post(path, json=BODIES[path], headers=bearer(other))
        assert answer.status_code == 200
        assert answer.headers["x-ratelimit-remaining-requests"] == "49"
        assert answer.headers["x-ratelimit-reset-requests"].endswith("s")


async def test_keys_own_limit_comes_before_the_settings(tmp_path: Path) -> None:
    control, store = control_over(tmp_path, caller={"requests_per_minute": 50})
    secret = await make_key(store, "small", limits=KeyLimits(requests_per_minute=2))
    async with asking(control) as client:
        answers = [await client.post(NATIVE, json=BODIES[NATIVE], headers=bearer(secret)) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]


async def test_address_is_limited_where_no_keys_are_needed(tmp_path: Path) -> None:
    control, _ = control_over(tmp_path, caller={"requests_per_minute": 2})
    async with asking(control) as client:
        answers = [await client.post(NATIVE, json=BODIES[NATIVE]) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [200, 200, 429]
        assert (await client.get("/livez")).status_code == 200


async def test_models_limit_is_shared_by_all_and_takes_nothing_from_a_callers_own(tmp_path: Path) -> None:
    control, store = control_over(
        tmp_path, caller={"requests_per_minute": 10}, models={"flowers": {"requests_per_minute": 3}}
    )
    secrets = [await make_key(store, name) for name in ("one", "two")]
    async with asking(control) as client:
        answers = [await client.post(NATIVE, json=BODIES[NATIVE], headers=bearer(secrets[at % 2])) for at in range(5)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429]
        assert "This model has 3" in message_of(answers[-1], NATIVE, "rate_limit_exceeded")
        trees = await client.post(NATIVE, json=BODIES[NATIVE] | {"model": "trees"}, headers=bearer(secrets[0]))
        assert trees.headers["x-ratelimit-remaining-requests"] == "7"


async def test_requests_at_once_are_bounded_and_let_go_of_when_they_end(tmp_path: Path) -> None:
    control, store = control_over(tmp_path, caller={"concurrent_requests": 3})
    secret = await make_key(store, "busy")
    bundle = Bundle(control=control)
    bundle.classifier.gate.clear()
    async with asking(control, bundle) as client:
        asked = [
            asyncio.create_task(client.post(NATIVE, json=BODIES[NATIVE], headers=bearer(secret))) for _ in range(10)
        ]
        done, waiting = await asyncio.wait(asked, timeout=0.2)
        assert [task.result().status_code for task in done] == [429] * 7
        for task in waiting:
            task.cancel()
        await asyncio.wait(waiting)
        bundle.classifier.gate.set()
        answers = await asyncio.gather(
            *(client.post(NATIVE, json=BODIES[NATIVE], headers=bearer(secret)) for _ in range(3))
        )
        assert [answer.status_code for answer in answers] == [200] * 3


async def test_explanation_is_charged_to_the_language_model_too(tmp_path: Path) -> None:
    control, store = control_over(
        tmp_path, caller={"requests_per_minute": 10}, models={LLM_NAME: {"requests_per_minute": 1}}
    )
    secret = await make_key(store, "curious")
    async with asking(control) as client:
        asked = {"model": "flowers", "row": ROW}
        answers = [await client.post("/explain", json=asked, headers=bearer(secret)) for _ in range(2)]
    assert answers[0].json()["explanation"]
    assert answers[1].json()["explanation"] is None
    assert "requests a minute" in answers[1].json()["reason"]
    assert answers[1].headers["x-ratelimit-remaining-requests"] == "8", "the prediction was a request all the same"


@pytest.mark.parametrize("path", [NATIVE, OIP])
async def test_client_that_leaves_frees_its_place_and_what_it_held(tmp_path: Path, path: str) -> None:
    control, store = control_over(tmp_path, caller={"concurrent_requests": 1})
    secret = await make_key(store, "hasty")
    headers = [(name.encode(), value.encode()) for name, value in bearer(secret).items()]
    bundle = Bundle(control=control)
    bundle.classifier.gate.clear()
    async with asking(control, bundle) as client:
        leaving = Client(json.dumps(BODIES[path]).encode())
        asked = asyncio.create_task(leaving.ask(bundle.app, "POST", path, headers))
        await bundle.classifier.reached.wait()
        assert (await client.post(path, json=BODIES[path], headers=bearer(secret))).status_code == 429
        leaving.leave()
        await asyncio.wait_for(asked, 1)
        assert not leaving.sent
        bundle.classifier.gate.set()
        assert (await client.post(path, json=BODIES[path], headers=bearer(secret))).status_code == 200
    assert bundle.counted(path if path == NATIVE else "/v2/models/{model}/infer", 499) == 1
