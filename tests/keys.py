"""Keys for tests that need some."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from services.gateway.control.assembly import create_control
from services.gateway.control.keys import Key, added, digest_of, new_secret
from services.gateway.control.keys_file import FileKeys
from services.settings.control import KeysSettings, LimitsSettings
from services.settings.tree import Settings
from tests.metrics import make_metrics

if TYPE_CHECKING:
    from pathlib import Path

    from services.gateway.control.keys import KeyStore
    from services.gateway.control.path import Control
    from services.telemetry.metrics import Metrics


async def make_key(store: KeyStore, name: str, **rights: Any) -> str:
    """A new key in `store`; its secret."""
    secret = new_secret()
    key = Key(name=name, digest=digest_of(secret.encode()).hex(), created=time.time(), **rights)
    await store.change(lambda keys: added(keys, key))
    return secret


def control_over(path: Path, metrics: Metrics | None = None, **limits: Any) -> tuple[Control, FileKeys]:
    """A control path whose keys are in the file at `path`, and that file."""
    keys = path / "keys.json"
    settings = Settings(keys=KeysSettings(file=keys, poll_interval=0.02), limits=LimitsSettings.model_validate(limits))
    return create_control(settings, metrics or make_metrics()), FileKeys(keys)
