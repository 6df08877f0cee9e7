"""Keys that are made, changed and revoked while the server runs."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from services.gateway.control.keys import without
from tests.integration.control.asking import BODIES, NATIVE, asking, bearer, every_change
from tests.keys import control_over, make_key

if TYPE_CHECKING:
    from pathlib import Path

    import httpx


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


@every_change
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


async def test_first_key_closes_a_server_that_was_open(tmp_path: Path) -> None:
    control, store = control_over(tmp_path)
    async with asking(control) as client:
        assert (await client.post(NATIVE, json=BODIES[NATIVE])).status_code == 200
        await make_key(store, "first")
        await refused_soon(client, {})
