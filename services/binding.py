"""Where a service listens, and whether that is beyond this machine."""

from __future__ import annotations

import ipaddress

import click
from bentoml._internal.configuration.containers import BentoMLContainer

_SERVED = "tandem.served"


def asked_host() -> str:
    """The address that `bentoml serve` was told to listen on: its option, else BentoML's configuration."""
    context = click.get_current_context(silent=True)
    option = context.params.get("host") if context else None
    return str(option or BentoMLContainer.http.host.get())


def is_served(service: str) -> bool:
    """Whether `bentoml serve` was asked for `service` itself, and does not start it for another that depends on it.

    For deployment hooks, each of which must ask: BentoML runs that of the service it was asked for before the others.
    """
    context = click.get_current_context(silent=True)
    return context is not None and context.meta.setdefault(_SERVED, service) == service


def own_url(service: str) -> str | None:
    """Where BentoML says that `service`, run by this process, is reached: ``file://`` a Unix socket, or ``http://...``."""
    url: str | None = BentoMLContainer.remote_runner_mapping.get().get(service)
    return url


def host_of(url: str | None) -> str:
    """The address that HTTP listens on, as a worker can tell: from the URL that BentoML says its own is.

    BentoML writes localhost for every address there is, and for nothing else.
    """
    host = (url or "").partition("://")[2].rpartition(":")[0] or "127.0.0.1"
    return "0.0.0.0" if host == "localhost" else host  # noqa: S104 - what the user asked for


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches `host`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
