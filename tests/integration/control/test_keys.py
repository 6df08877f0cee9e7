"""Who may ask for what: keys, scopes and models, as clients of each protocol see them."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

from services.gateway.app import model_routes, routes
from services.gateway.control.policy import NEEDS, OPEN
from services.gateway.head import read_head
from tests.gateway import Bundle
from tests.integration.control.asking import BODIES, NATIVE, OIP, OPENAI, asking, bearer, every, message_of
from tests.keys import control_over, make_key

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


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


async def test_control_that_has_nothing_to_do_lets_requests_by(tmp_path: Path) -> None:
    control, _ = control_over(tmp_path)
    assert not control.concerns(read_head([(b"host", b"x"), (b"content-type", b"application/json")]))
    assert control.concerns(read_head([(b"x-request-timeout", b"1")]))


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
