"""Requests that repeat the head of the one before, on one connection: each is checked and counted all the same."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from services.gateway.control.keys import without
from tests.gateway import Bundle, listening
from tests.integration.control.asking import BODIES, NATIVE, every_change
from tests.keys import control_over, make_key
from tests.wire import request, wire

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from services.gateway.control.path import Control
    from tests.wire import Wire


MANY = 10**6
every_kind_of_limit = pytest.mark.parametrize(
    "limits",
    [
        {},
        {"caller": {"requests_per_minute": MANY}},
        {"caller": {"requests_per_minute": MANY, "concurrent_requests": 1}},
        {"models": {"flowers": {"requests_per_minute": MANY}}},
    ],
    ids=["nothing", "requests", "requests at once", "model"],
)
"""What the requests of a caller can share, and what each of them has to hold by itself."""


def asked(secret: str = "", model: str = "flowers") -> bytes:
    body = json.dumps(BODIES[NATIVE] | {"model": model}).encode()
    headers = [b"authorization: Bearer %b" % secret.encode()] if secret else []
    return request(NATIVE.encode(), *headers, method=b"POST", body=body)


@asynccontextmanager
async def connected(folder: Path, control: Control) -> AsyncIterator[Wire]:
    bundle = Bundle(control=control)
    await bundle.monitor.look()
    await control.start()
    async with asyncio.timeout(30), listening(bundle.app, folder / "socket"), wire(folder / "socket") as client:
        yield client
    await control.stop()


async def status_within_a_second(client: Wire, data: bytes) -> int:
    """The first status that is not 200."""
    async with asyncio.timeout(1):
        while (status := (await client.ask(data)).status) == 200:
            pass
    return status


@every_kind_of_limit
@every_change
async def test_changed_key_counts_at_once(tmp_path: Path, limits: dict[str, Any], change: Any, status: int) -> None:
    control, store = control_over(tmp_path, **limits)
    secret = await make_key(store, "somebody")
    async with connected(tmp_path, control) as client:
        for _ in range(3):
            assert (await client.ask(asked(secret))).status == 200
        await store.change(lambda keys: tuple(msgspec.structs.replace(key, **change) for key in keys))
        assert await status_within_a_second(client, asked(secret)) == status


@every_kind_of_limit
async def test_revoked_key_opens_nothing(tmp_path: Path, limits: dict[str, Any]) -> None:
    control, store = control_over(tmp_path, **limits)
    secret = await make_key(store, "somebody")
    await make_key(store, "other")
    async with connected(tmp_path, control) as client:
        for _ in range(3):
            assert (await client.ask(asked(secret))).status == 200
        await store.change(lambda keys: without(keys, "somebody"))
        assert await status_within_a_second(client, asked(secret)) == 401


@every_kind_of_limit
async def test_key_expires_between_two_requests(tmp_path: Path, limits: dict[str, Any]) -> None:
    control, store = control_over(tmp_path, **limits)
    secret = await make_key(store, "brief", expires=time.time() + 0.3)
    async with connected(tmp_path, control) as client:
        for _ in range(3):
            assert (await client.ask(asked(secret))).status == 200
        assert await status_within_a_second(client, asked(secret)) == 401


@pytest.mark.parametrize(
    "limits",
    [
        {"caller": {"requests_per_minute": 4}},
        {"caller": {"requests_per_minute": 4, "concurrent_requests": 1}},
        {"caller": {"requests_per_minute": 4}, "caller_models": {"flowers": {"requests_per_minute": 9}}},
    ],
    ids=["shared", "held", "by model"],
)
async def test_each_counts_and_hears_what_is_left(tmp_path: Path, limits: dict[str, Any]) -> None:
    control, store = control_over(tmp_path, **limits)
    secret = await make_key(store, "somebody")
    async with connected(tmp_path, control) as client:
        for left in (3, 2, 1, 0):
            heard = await client.ask(asked(secret))
            assert heard.status == 200
            assert heard.headers["x-ratelimit-limit-requests"] == "4"
            assert heard.headers["x-ratelimit-remaining-requests"] == str(left)
            assert heard.headers["x-ratelimit-reset-requests"].endswith("s")
        refused = await client.ask(asked(secret))
        assert (refused.status, refused.headers["x-ratelimit-remaining-requests"]) == (429, "0")
        assert int(refused.headers["retry-after"]) > 0
        assert (await client.ask(asked(secret, "unknown"))).status == 429


async def test_address_without_a_key_counts_too(tmp_path: Path) -> None:
    control, _ = control_over(tmp_path, caller={"requests_per_minute": 3})
    async with connected(tmp_path, control) as client:
        assert [(await client.ask(asked())).status for _ in range(5)] == [200, 200, 200, 429, 429]


async def test_first_key_closes_a_connection_that_was_open(tmp_path: Path) -> None:
    control, store = control_over(tmp_path, caller={"requests_per_minute": 10**6})
    async with connected(tmp_path, control) as client:
        for _ in range(3):
            assert (await client.ask(asked())).status == 200
        await make_key(store, "first")
        assert await status_within_a_second(client, asked()) == 401


async def test_deadline_of_one_is_not_that_of_the_next(tmp_path: Path) -> None:
    control, store = control_over(tmp_path, caller={"concurrent_requests": 1})
    secret = await make_key(store, "somebody")
    late = asked(secret).replace(b"\r\n\r\n", b"\r\nx-request-timeout: 0.000001\r\n\r\n", 1)
    async with connected(tmp_path, control) as client:
        statuses = [(await client.ask(one)).status for one in (late, late, asked(secret), asked(secret), late, late)]
    assert statuses == [504, 504, 200, 200, 504, 504]


@every_kind_of_limit
async def test_server_that_stops_lets_nobody_in(tmp_path: Path, limits: dict[str, Any]) -> None:
    control, store = control_over(tmp_path, **limits)
    secret = await make_key(store, "somebody")
    async with connected(tmp_path, control) as client:
        for _ in range(3):
            assert (await client.ask(asked(secret))).status == 200
        control.refuse()
        assert (await client.ask(asked(secret))).status == 503
