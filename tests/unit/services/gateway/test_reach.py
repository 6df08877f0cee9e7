from __future__ import annotations

import socket

import pytest

from services.gateway.address import Address
from services.gateway.reach import look_up, reach
from services.gateway.replicas import Replicas
from services.gateway.upstream import Upstream
from services.settings.gateway import GatewaySettings
from services.settings.hop import HopSettings
from tests.http_server import Request, serving_tcp

TOKEN = "t" * 32
PATIENCE = 10.0


async def echo(request: Request) -> None:
    await request.answer(b"answer to " + request.body)


async def test_a_name_is_looked_up_once_for_each_address() -> None:
    assert await look_up(Address.parse("http://127.0.0.1:3000")) == ["127.0.0.1"]
    with pytest.raises(socket.gaierror):
        await look_up(Address.parse("http://nobody.invalid:3000"))


async def test_every_request_to_a_network_shows_the_token_and_asks_for_the_name() -> None:
    hop = HopSettings.model_validate({"token": TOKEN})
    async with serving_tcp(echo) as (server, port):
        replicas = reach("model", f"http://127.0.0.1:{port}/", GatewaySettings(), hop)
        assert isinstance(replicas, Replicas)
        await replicas.open()
        try:
            await replicas.probe()
            await replicas.call("POST", "/task", headers={}, timeout=PATIENCE)
            async with replicas.stream("POST", "/task", idle_timeout=PATIENCE) as response:
                assert await response.read() == b"answer to "
        finally:
            await replicas.close()
    assert {request.headers["authorization"] for request in server.requests} == {f"Bearer {TOKEN}"}
    assert {request.headers["host"] for request in server.requests} == {f"127.0.0.1:{port}"}
    assert isinstance(reach("model", "file:///tmp/socket", GatewaySettings(), hop), Upstream)
