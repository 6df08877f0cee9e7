"""Where the gateway may listen: beyond this machine only with keys, or when its owner says so."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bentoml.exceptions import BentoMLConfigException

from services.binding import is_loopback
from services.gateway.control.keys import KeyStoreDown
from services.gateway.control.keys_file import FileKeys

if TYPE_CHECKING:
    from pathlib import Path

    from services.settings.tree import Settings


def check_binding(host: str, settings: Settings) -> None:
    """Raises BentoMLConfigException when `host` is reachable from other machines and nothing guards it."""
    if settings.auth == "off":
        return
    guarded = settings.redis.url is not None or _has_keys(settings.keys.file)
    if guarded or is_loopback(host):
        return
    raise BentoMLConfigException(
        f"Tandem would listen on {host}, where other machines reach it, and no keys are configured. "
        "Make one with `python -m scripts.keys create NAME`, listen on 127.0.0.1 (`--host 127.0.0.1`), or set TANDEM_AUTH=off if something else keeps strangers out."
    )


def _has_keys(path: Path) -> bool:
    """Raises BentoMLConfigException when there is a file that cannot be used."""
    try:
        return bool(FileKeys(path).read())
    except KeyStoreDown as error:
        raise BentoMLConfigException(str(error)) from None
