from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from bentoml.exceptions import BentoMLConfigException

from services.gateway.binding import check_binding
from services.gateway.control.keys_file import FileKeys
from services.settings.control import KeysSettings, RedisSettings
from services.settings.tree import Settings
from tests.keys import make_key

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.10", "::1", "localhost"])
def test_loopback_may_be_open(host: str) -> None:
    check_binding(host, Settings())


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.7", "tandem.example", "localhost.example"])
def test_beyond_loopback_is_refused_with_what_to_do(host: str) -> None:
    with pytest.raises(BentoMLConfigException, match=f"listen on {host}.*TANDEM_AUTH=off"):
        check_binding(host, Settings())
    check_binding(host, Settings(auth="off"))


async def test_keys_guard_every_address(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    settings = Settings(keys=KeysSettings(file=file))
    with pytest.raises(BentoMLConfigException, match=r"scripts\.keys create"):
        check_binding("0.0.0.0", settings)
    await make_key(FileKeys(file), "one")
    check_binding("0.0.0.0", settings)
    file.write_text("{")
    with pytest.raises(BentoMLConfigException, match="cannot be read"):
        check_binding("127.0.0.1", settings)
    redis = RedisSettings.model_validate({"url": "redis://127.0.0.1:1"})
    check_binding("0.0.0.0", Settings(redis=redis))
