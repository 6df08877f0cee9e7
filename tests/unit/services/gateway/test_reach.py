from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
from typing import TYPE_CHECKING

import pytest

from services.errors import NotRunning
from services.gateway.address import Address
from services.gateway.reach import look_up, reach
from services.gateway.replicas import Replicas
from services.gateway.upstream import Upstream
from services.settings.gateway import GatewaySettings
from services.settings.hop import HopSettings
from tests.http_server import Request, serving_tcp

if TYPE_CHECKING:
    from pathlib import Path

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


@pytest.fixture
def certified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """What a server called classifier.test shows, and clients trust."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl makes the certificate")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    make = (
        f"openssl req -x509 -newkey rsa:2048 -nodes -keyout {key} -out {certificate} -days 2 -subj /CN=classifier.test"
    )
    subprocess.run([*make.split(), "-addext", "subjectAltName=DNS:classifier.test"], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    return context


async def test_a_certificate_must_be_for_the_name(certified: ssl.SSLContext) -> None:
    async with serving_tcp(echo, tls=certified) as (_, port):
        for name, right in (("classifier.test", True), ("other.test", False)):
            address = Address.parse(f"https://{name}:{port}").at("127.0.0.1")
            upstream = Upstream("model", address, connect_timeout=5, probe_timeout=5)
            await upstream.open()
            try:
                if right:
                    assert (await upstream.call("POST", "/", headers={}, timeout=PATIENCE))[0] == 200
                else:
                    with pytest.raises(NotRunning):
                        await upstream.call("POST", "/", headers={}, timeout=PATIENCE)
            finally:
                await upstream.close()
