"""Where the gateway may listen: beyond this machine only with keys, or when its owner says so."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

import click
from bentoml._internal.configuration.containers import BentoMLContainer
from bentoml.exceptions import BentoMLConfigException

from services.gateway.control.keys import KeyStoreDown
from services.gateway.control.keys_file import FileKeys

if TYPE_CHECKING:
    from pathlib import Path

    from services.settings.tree import Settings


def asked_host() -> str:
    """The address that `bentoml serve` was told to listen on: its option, else BentoML's configuration."""
    context = click.get_current_context(silent=True)
    option = context.params.get("host") if context else None
    return str(option or BentoMLContainer.http.host.get())


def check_binding(host: str, settings: Settings) -> None:
    """Raises BentoMLConfigException when `host` is reachable from other machines and nothing guards it."""
    if settings.auth == "off":
        return
    guarded = settings.redis.url is not None or _has_keys(settings.keys.file)
    if guarded or _is_loopback(host):
        return
    raise BentoMLConfigException(
        f"Tandem would listen on {host}, where other machines reach it, and no keys are configured. "
        "Make one with `python -m scripts.keys create NAME`, listen on 127.0.0.1 (`--host 127.0.0.1`), or set TANDEM_AUTH=off if something else keeps strangers out."
    )


def host_of(own_url: str | None) -> str:
    """The address that HTTP listens on, as a worker can tell: from the URL that BentoML says its own is.

    BentoML writes localhost for every address there is, and for nothing else.
    """
    host = (own_url or "").partition("://")[2].rpartition(":")[0] or "127.0.0.1"
    return "0.0.0.0" if host == "localhost" else host  # noqa: S104 - what the user asked for


def _has_keys(path: Path) -> bool:
    """Raises BentoMLConfigException when there is a file that cannot be used."""
    try:
        return bool(FileKeys(path).read())
    except KeyStoreDown as error:
        raise BentoMLConfigException(str(error)) from None


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
