"""Keys, limits, admission and deadlines, as clients of each protocol see them."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from services.gateway.app import model_routes, routes
from services.gateway.control.keys import KeyLimits, without
from services.gateway.control.policy import NEEDS, OPEN
from services.settings.control import AdmissionSettings
from tests.asgi import Client
from tests.fakes import LLM_NAME, Answer, chat_answer, chat_events
from tests.gateway import Bundle
from tests.keys import control_over, make_key

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    import httpx

    from services.gateway.control.path import Control

ROW = {"height": 60, "width": 2, "age": 3}
INPUTS = [{"name": "features", "datatype": "FP32", "shape": [1, 3], "data": [60, 2, 3]}]
NATIVE, OPENAI, OIP = "/classify", "/v1/chat/completions", "/v2/models/flowers/infer"
BODIES: dict[str, dict[str, Any]] = {
    NATIVE: {"model": "flowers", "rows": [ROW]},
    OPENAI: {"model": LLM_NAME, "messages": [{"role": "user", "content": "Why?"}], "max_tokens": 100},
    OIP: {"inputs": INPUTS},
}
every = pytest.mark.parametrize("path", BODIES)


@asynccontextmanager
async def asking(control: Control, bundle: Bundle | None = None, **options: Any) -> AsyncIterator[httpx.AsyncClient]:
    bundle = bundle or Bundle(control=control, **options)
    await control.start()
    try:
        async with bundle.client() as client:
            yield client
    finally:
        await control.stop()


def bearer(secret: str) -> dict[str, str]:
    return {"authorization": f"Bearer {secret}"}


def message_of(answer: httpx.Response, path: str, code: str) -> str:
    """The message of an error, once its shape is that of the protocol."""
    body = answer.json()
    if path.startswith("/v1"):
        assert body["error"].keys() == {"message", "type", "param", "code"}
        assert body["error"]["code"] == code
        return str(body["error"]["message"])
    if path.startswith("/v2"):
        assert body.keys() == {"error"}
        return str(body["error"])
    assert body["code"] == code
    return str(body["error"])


def streaming(*texts: str, usage: int | None = None) -> Answer:
    events = chat_events(*texts)
    if usage is not None:
        told = {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": usage - 3, "total_tokens": usage}}
        events.insert(-1, f"data: {json.dumps(told, separators=(',', ':'))}\n\n".encode())
    return Answer(events, content_type="text/event-stream")


@every
async def test_without_keys_everybody_may_ask(tmp_path: Path, path: str) -> None:
    control, _ = control_over(tmp_path)
    async with asking(control) as client:
        assert (await client.post(path, json=BODIES[path])).status_code == 200


@every
async def test_no_key_or_a_wrong_one_is_401_in_the_protocols_shape(tmp_path: Path, path: str) -> None:
    control, store = control_over(tmp_path)
    await make_key(store, "somebody")
    bundle = Bundle(control=control)
    async with asking(control, bundle) as client:
        for headers in ({}, bearer("tdm_wrong"), {"authorization": "Basic eDp5"}, {"x-api-key": "tdm_\xff"}):
            encoded = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
            answer = await client.post(path, json=BODIES[path], headers=encoded)
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"].startswith("Bearer")
            assert "API key" in message_of(answer, path, "invalid_api_key")
    assert not bundle.classifier.batches
    assert not bundle.llm.asked


@every
async def test_key_is_taken_from_either_header(tmp_path: Path, path: str) -> None:
    control, store = control_over(tmp_path)
    secret = await make_key(store, "somebody")
    async with asking(control) as client:
        for headers in (bearer(secret), {"authorization": f"bearer  {secret}"}, {"x-api-key": secret}):
            assert (await client.post(path, json=BODIES[path], headers=headers)).status_code == 200


@every
async def test_missing_scope_is_403(tmp_path: Path, path: str) -> None:
    control, store = control_over(tmp_path)
    wrong = await make_key(store, "wrong", scopes=("infer",) if path == OPENAI else ("chat",))
    admin = await make_key(store, "admin", scopes=("admin",))
    async with asking(control) as client:
        answer = await client.post(path, json=BODIES[path], headers=bearer(wrong))
        assert answer.status_code == 403
        assert "scope" in message_of(answer, path, "permission_denied")
        assert (await client.post(path, json=BODIES[path], headers=bearer(admin))).status_code == 200


@every
async def test_model_that_a_key_may_not_use_is_403(tmp_path: Path, path: str) -> None:
    control, store = control_over(tmp_path)
    secret = await make_key(store, "narrow", models=("trees", "lora"))
    bundle = Bundle(control=control)
    async with asking(control, bundle) as client:
        answer = await client.post(path, json=BODIES[path], headers=bearer(secret))
        assert answer.status_code == 403
        assert "may not use" in message_of(answer, path, "permission_denied")
        if path != OIP:
            other = {NATIVE: "trees", OPENAI: "lora"}[path]
            allowed = await client.post(path, json=BODIES[path] | {"model": other}, headers=bearer(secret))
            assert allowed.status_code == 200


async def test_request_that_names_no_model_means_one_and_needs_the_right_to_it(tmp_path: Path) -> None:
    control, store = control_over(tmp_path)
    secret = await make_key(store, "narrow", models=("lora",))
    async with asking(control) as client:
        for path in (OPENAI, "/tokenize"):
            answer = await client.post(path, json={"messages": [], "prompt": "x"}, headers=bearer(secret))
            assert answer.status_code == 403


async def test_probes_are_open_and_all_that_tells_or_changes_state_needs_admin(tmp_path: Path) -> None:
    control, store = control_over(tmp_path)
    secret = await make_key(store, "somebody")
    admin = await make_key(store, "admin", scopes=("admin",))
    async with asking(control) as client:
        for path in ("/livez", "/healthz", "/readyz", "/v2/health/live", "/v2/health/ready"):
            assert (await client.get(path)).status_code == 200
        for path in ("/metrics", "/health"):
            assert (await client.get(path)).status_code == 401
            assert (await client.get(path, headers=bearer(secret))).status_code == 403
            assert (await client.get(path, headers=bearer(admin))).status_code == 200
        for action in ("load", "unload"):
            path = f"/v2/repository/models/flowers/{action}"
            assert (await client.post(path, headers=bearer(secret))).status_code == 403
        assert (await client.get("/v2/models/flowers")).status_code == 401
        assert (await client.get("/v2/models/flowers", headers=bearer(secret))).status_code == 200


def test_every_route_has_said_what_it_needs() -> None:
    class Handlers:
        def __getattr__(self, name: str) -> Any:
            return None

    anything: Any = Handlers()
    table = {**routes(anything, anything, anything, anything, anything), **model_routes(anything, anything)}
    unsaid = {path for path in table if path not in OPEN and path not in NEEDS}
    assert unsaid == {f"/v2/repository/models/{{model}}/{action}" for action in ("load", "unload")}


async def refused_soon(client: httpx.AsyncClient, headers: dict[str, str]) -> None:
    """Returns once a request gets 401; an error when that takes a second."""
    async with asyncio.timeout(1):
        while (await client.post(NATIVE, json=BODIES[NATIVE], headers=headers)).status_code != 401:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_revoked_key_stops_within_a_moment_and_the_last_one_opens_nothing(tmp_path: Path) -> None:
    control, store = control_over(tmp_path)
    secret = await make_key(store, "somebody")
    async with asking(control) as client:
        assert (await client.post(NATIVE, json=BODIES[NATIVE], headers=bearer(secret))).status_code == 200
        await store.change(lambda keys: without(keys, "somebody"))
        await refused_soon(client, bearer(secret))
        (tmp_path / "keys.json").unlink()
        await asyncio.sleep(0.1)
        assert (await client.post(NATIVE, json=BODIES[NATIVE])).status_code == 401


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"scopes": ("chat",)}, 403),
        ({"models": ("trees",)}, 403),
        ({"expires": 1.0}, 401),
        ({"digest": "00" * 32}, 401),
    ],
)
@pytest.mark.parametrize("limited", [False, True])
async def test_rights_taken_from_a_key_in_use_are_gone_within_a_moment(
    tmp_path: Path, change: dict[str, Any], status: int, limited: bool
) -> None:
    limits: dict[str, Any] = {"caller": {"requests_per_minute": 1_000_000}} if limited else {}
    control, store = control_over(tmp_path, **limits)
    secret = await make_key(store, "somebody")
    async with asking(control) as client:
        for _ in range(2):
            assert (await client.post(NATIVE, json=BODIES[NATIVE], headers=bearer(secret))).status_code == 200
        await store.change(lambda keys: tuple(msgspec.structs.replace(key, **change) for key in keys))
        async with asyncio.timeout(1):
            while True:
                answer = await client.post(NATIVE, json=BODIES[NATIVE], headers=bearer(secret))
                if answer.status_code != 200:
                    break
        assert answer.status_code == status


async def test_keys_that_share_nothing_but_the_server_keep_their_own_rights(tmp_path: Path) -> None:
    control, store = control_over(tmp_path)
    wide, narrow = await make_key(store, "wide"), await make_key(store, "narrow", models=("trees",))
    async with asking(control) as client:
        answers = await asyncio.gather(
            *(client.post(NATIVE, json=BODIES[NATIVE], headers=bearer((wide, narrow)[at % 2])) for at in range(20))
        )
        assert [answer.status_code for answer in answers] == [200, 403] * 10
        with_time = bearer(wide) | {"x-request-timeout": "1e-9"}
        assert (await client.post(NATIVE, json=BODIES[NATIVE], headers=with_time)).status_code == 504
        assert (await client.post(NATIVE, json=BODIES[NATIVE], headers=bearer(wide))).status_code == 200


async def test_first_key_closes_a_server_that_was_open(tmp_path: Path) -> None:
    control, store = control_over(tmp_path)
    async with asking(control) as client:
        assert (await client.post(NATIVE, json=BODIES[NATIVE])).status_code == 200
        await make_key(store, "first")
        await refused_soon(client, {})


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


async def test_control_that_has_nothing_to_do_lets_requests_by(tmp_path: Path) -> None:
    control, _ = control_over(tmp_path)
    assert not control.concerns([(b"host", b"x"), (b"content-type", b"application/json")])
    assert control.concerns([(b"x-request-timeout", b"1")])


async def test_log_names_the_key_and_never_its_secret(
    tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    control, store = control_over(tmp_path)
    secret = await make_key(store, "somebody")
    bundle = Bundle(control=control)
    async with asking(control, bundle) as client:
        await client.post(NATIVE, json=BODIES[NATIVE], headers=bearer(secret))
        await client.post(NATIVE, json=BODIES[NATIVE], headers=bearer("tdm_guess"))
    bundle.telemetry.close()
    first, second = capfdbinary.readouterr().out.splitlines()
    assert json.loads(first)["key"] == "somebody"
    assert "key" not in json.loads(second)
    assert secret.encode() not in first
    assert b"tdm_guess" not in second
