"""What a client may send, byte for byte, to a real uvicorn."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING
from unittest.mock import Mock

import httpx
import pytest
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from services.asgi import read_body, send_json
from services.http_protocol import HttpProtocol
from tests.gateway import listening, listening_on
from tests.unit.services.http_protocol.echoing import CHUNKED, POST, connected, echo
from tests.wire import request, wire

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from services.asgi import Receive, Scope, Send
    from tests.wire import Wire

UPGRADES = (
    (
        b"connection: Upgrade",
        b"upgrade: websocket",
        b"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==",
        b"sec-websocket-version: 13",
    ),
    (b"connection: Upgrade, HTTP2-Settings", b"upgrade: h2c", b"http2-settings: AAEAAEAAAAIAAAAAAAMAAAAA"),
)


async def test_plain_requests_share_a_connection(tmp_path: Path) -> None:
    async with connected(tmp_path) as client:
        for number in range(3):
            heard = await client.ask(request(b"/%d" % number, method=POST, body=b"x" * number))
            seen = json.loads(heard.body)
            assert (heard.status, seen["path"], seen["body"]) == (200, f"/{number}", "x" * number)


async def test_trailers_are_not_headers(tmp_path: Path) -> None:
    trailers = b"x-api-key: tdm_x\r\ncontent-encoding: gzip\r\n" + b"x: y\r\n" * 100
    body = b"2\r\nhi\r\n0\r\n" + trailers + b"\r\n"
    async with connected(tmp_path) as client:
        for data in (request(b"/", CHUNKED, method=POST, body=body), request(b"/next")):
            seen = json.loads((await client.ask(data)).body)
            names = {name for name, _ in seen["headers"]}
            assert names <= {"host", "transfer-encoding"}


@pytest.mark.parametrize("upgrade", UPGRADES)
@pytest.mark.parametrize("method", [b"GET", POST])
async def test_wish_for_an_upgrade_is_passed_over(tmp_path: Path, upgrade: tuple[bytes, ...], method: bytes) -> None:
    """The request keeps its body, and those behind it on the connection are answered too."""
    body = b"hello" if method == POST else b""
    async with connected(tmp_path) as client:
        asked = b"".join(
            request(b"/%d?q" % number, *upgrade, b"x-own: 1", method=method, body=body) for number in range(3)
        )
        await client.send(asked + request(b"/last"))
        for number in range(3):
            heard = await client.answer()
            seen = json.loads(heard.body)
            assert (heard.status, seen["path"], seen["body"]) == (200, f"/{number}", body.decode())
            assert ["x-own", "1"] in seen["headers"]
            assert "upgrade" not in dict(seen["headers"])
        assert json.loads((await client.answer()).body)["path"] == "/last"


async def test_chunked_body_survives_an_upgrade_in_pieces(tmp_path: Path) -> None:
    data = request(b"/", *UPGRADES[1], CHUNKED, method=POST, body=b"2\r\nhi\r\n3\r\nyou\r\n0\r\n\r\n")
    async with connected(tmp_path) as client:
        for at in range(0, len(data), 7):
            await client.send(data[at : at + 7])
            await asyncio.sleep(0)
        assert json.loads((await client.answer()).body)["body"] == "hiyou"


async def test_close_beside_an_upgrade_still_closes(tmp_path: Path) -> None:
    async with connected(tmp_path) as client:
        heard = await client.ask(request(b"/", b"connection: close, upgrade", b"upgrade: h2c"))
        assert (heard.status, heard.headers["connection"], await client.rest()) == (200, "close", b"")


async def test_connect_is_refused(tmp_path: Path) -> None:
    for target in (b"tandem:443", b"/v1/models"):
        async with connected(tmp_path) as client:
            heard = await client.ask(request(target, method=b"CONNECT") + request(b"/next"))
            assert (heard.status, await client.rest()) == (405, b"")


async def test_expectation_that_is_refused_closes_the_connection(tmp_path: Path) -> None:
    """What follows could be the body or another request."""
    async with connected(tmp_path) as client:
        head = request(b"/refused", b"expect: 100-continue", b"content-length: 40", method=POST)
        heard = await client.ask(head)
        assert (heard.status, heard.headers["connection"]) == (200, "close")
        await client.send(request(b"/other"))
        assert await client.rest() == b""


async def test_expectation_that_is_met_gets_its_answer(tmp_path: Path) -> None:
    async with connected(tmp_path) as client:
        assert (
            await client.ask(request(b"/", b"expect: 100-continue", b"content-length: 2", method=POST))
        ).status == 100
        heard = await client.ask(b"hi")
        assert json.loads(heard.body)["body"] == "hi"


@pytest.mark.parametrize(("trusted", "client"), [("", "127.0.0.1"), ("127.0.0.1", "10.9.8.7")])
async def test_proxy_is_believed_only_when_it_is_trusted(
    trusted: str, client: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []

    async def app(scope: Scope, _receive: Receive, send: Send) -> None:
        seen.append(scope["client"][0])
        await send_json(send, 200, b"{}")

    monkeypatch.setenv("FORWARDED_ALLOW_IPS", trusted)
    async with asyncio.timeout(30), listening_on(app) as port, httpx.AsyncClient() as asking:
        await asking.get(f"http://127.0.0.1:{port}/", headers={"x-forwarded-for": "10.9.8.7"})
    assert seen == [client]


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"POST /a%20b/%7Ec?d=%20e&f HTTP/1.1\r\nhost: a\r\nContent-Length: 3\r\n\r\n",
        b"GET http://a:1/b?c#d HTTP/1.1\r\nhost: a\r\n\r\n",
        b"GET /? HTTP/1.0\r\nX-Two: 1\r\nx-two: 2\r\nconnection: keep-alive\r\n\r\n",
        b"GET /a HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nhost: a\r\n\r\n",
    ],
)
async def test_request_is_what_uvicorn_would_make_of_it(head: bytes) -> None:
    """All that its cycle knows of a request, and whether it keeps the connection."""
    config = uvicorn.Config(echo, lifespan="off", log_config=None)
    cycles = []
    for kind in (HttpToolsProtocol, HttpProtocol):
        connection = kind(config=config, server_state=ServerState(), app_state={"state": 1})
        transport = Mock(spec=asyncio.Transport)
        transport.get_extra_info.return_value = None
        connection.connection_made(transport)
        connection.data_received(head)
        cycles.append(connection.cycle)
        for task in connection.tasks:
            task.cancel()
        connection.connection_lost(None)
    plain, ours = cycles
    assert ours.scope.pop("extensions")
    for name in vars(plain).keys() - {"flow", "transport", "message_event", "on_response"}:
        assert getattr(ours, name) == getattr(plain, name), name


@pytest.fixture
def began_in() -> list[str]:
    """What the app of `remembering` has found set where each request began."""
    return []


@asynccontextmanager
async def remembering(path: Path, began_in: list[str]) -> AsyncIterator[Wire]:
    """A connection to an app that sets a context variable in each request."""
    whose: ContextVar[str] = ContextVar("whose", default="nobody's")

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        began_in.append(whose.get())
        whose.set(scope["path"])
        await read_body(scope, receive, 2**24)
        await send_json(send, 200, b"{}")

    async with asyncio.timeout(30), listening(app, path / "socket"), wire(path / "socket") as client:
        yield client


async def test_request_behind_a_long_body_works_in_a_context_of_its_own(tmp_path: Path, began_in: list[str]) -> None:
    """Not in that of the request whose reading went on with the body, and with it the connection's."""
    async with remembering(tmp_path, began_in) as client:
        for path, size in ((b"/long", 2**22), (b"/1", 0), (b"/2", 0)):
            assert (await client.ask(request(path, method=POST, body=b"x" * size))).status == 200
    assert began_in == ["nobody's"] * 3


async def test_pipelined_request_works_in_a_context_of_its_own(tmp_path: Path, began_in: list[str]) -> None:
    """Not in that of the request before, whose end begins it: it would have its deadline."""
    async with remembering(tmp_path, began_in) as client:
        await client.send(request(b"/1") + request(b"/2") + request(b"/3"))
        assert [(await client.answer()).status for _ in range(3)] == [200] * 3
    assert began_in == ["nobody's"] * 3
