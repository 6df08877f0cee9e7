"""How the gateway gets to a dependency, wherever that is."""

from __future__ import annotations

import asyncio
import math
import socket
from typing import TYPE_CHECKING

from services.gateway.address import Address
from services.gateway.replicas import Replicas
from services.gateway.upstream import Upstream

if TYPE_CHECKING:
    from services.settings.gateway import GatewaySettings
    from services.settings.hop import HopSettings


async def look_up(address: Address) -> list[str]:
    """What the name of `address` stands for now. Raises OSError."""
    found = await asyncio.get_running_loop().getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    return sorted({str(sockaddr[0]) for *_, sockaddr in found})


def reach(
    name: str, url: str, gateway: GatewaySettings, hop: HopSettings, *, differ: bool = False, channel: bool = False
) -> Upstream | Replicas:
    """The way to a dependency at `url`: one process behind a Unix socket, or all replicas behind a name. See `Replicas`.

    With `channel` the streams of a process on this machine share a connection.
    """
    tokens = hop.tokens()
    address = Address.parse(url, tokens[0] if tokens else None)

    def make(address: Address, max_age: float) -> Upstream:
        timeouts = {"connect_timeout": gateway.connect_timeout, "probe_timeout": gateway.probe_timeout}
        return Upstream(name, address, **timeouts, max_age=max_age, channel=channel and address.socket_path is not None)

    if address.socket_path is not None:
        return make(address, math.inf)
    return Replicas(
        name,
        lambda host: make(address.at(host), hop.connection_max_age),
        lambda: look_up(address),
        hop.resolve_interval,
        differ=differ,
    )
