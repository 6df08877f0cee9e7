from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from services.asgi import headers_in
from services.errors import Unavailable
from services.gateway.control.assembly import create_control, key_store
from services.gateway.control.keys_redis import RedisKeys
from services.gateway.head import Head
from services.settings.control import KeysSettings, LimitsSettings, RedisSettings
from services.settings.gateway import GatewaySettings
from services.settings.tree import Settings
from tests.metrics import make_metrics

if TYPE_CHECKING:
    from pathlib import Path

HEAD = Head()


def settings(folder: Path, workers: int = 1, **limits: Any) -> Settings:
    return Settings(
        gateway=GatewaySettings(workers=workers),
        keys=KeysSettings(file=folder / "keys.json"),
        limits=LimitsSettings.model_validate(limits),
    )


async def test_several_workers_count_together(tmp_path: Path) -> None:
    chosen = settings(tmp_path, 2, caller={"requests_per_minute": 3}, ledger=tmp_path / "ledger")
    workers = [create_control(chosen, make_metrics()) for _ in range(2)]
    for at in range(3):
        passage = await workers[at % 2].enter("/classify", HEAD, "10.0.0.7")
        assert passage is not None
        passage.leave()
        told = dict(headers_in(passage.told()))
        assert told[b"x-ratelimit-remaining-requests"] == b"%d" % (2 - at)
    for worker in workers:
        await worker.stop()


@pytest.mark.parametrize("policy", ["fail_open", "fail_closed"])
async def test_ledger_that_cannot_be_opened_follows_the_policy_and_hurts_nobody_unlimited(
    tmp_path: Path, policy: str
) -> None:
    (tmp_path / "file").touch()
    unusable = {"ledger": tmp_path / "file" / "ledger", "on_store_failure": policy}
    free = create_control(settings(tmp_path, 2, **unusable), make_metrics())
    assert not free.concerns(HEAD)
    assert await free.enter("/classify", HEAD, "10.0.0.7")
    limited = create_control(settings(tmp_path, 2, caller={"requests_per_minute": 3}, **unusable), make_metrics())
    if policy == "fail_open":
        assert await limited.enter("/classify", HEAD, "10.0.0.7")
    else:
        with pytest.raises(Unavailable):
            await limited.enter("/classify", HEAD, "10.0.0.7")


async def test_nobody_is_asked_for_a_key_when_that_is_off(tmp_path: Path) -> None:
    (tmp_path / "keys.json").write_text("{")
    control = create_control(settings(tmp_path).model_copy(update={"auth": "off"}), make_metrics())
    await control.start()
    assert not control.concerns(HEAD)
    await control.stop()


async def test_redis_keeps_the_keys_where_there_is_one_and_a_key_is_needed_from_the_start() -> None:
    chosen = Settings(redis=RedisSettings.model_validate({"url": "redis://127.0.0.1:1"}))
    store = key_store(chosen)
    assert isinstance(store, RedisKeys)
    await store.close()
    control = create_control(chosen, make_metrics())
    assert control.concerns(HEAD)
    with pytest.raises(Unavailable):
        await control.enter("/classify", HEAD, "10.0.0.7")
    await control.stop()
