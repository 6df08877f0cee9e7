"""What a client may send, byte for byte, to a real uvicorn."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from unittest.mock import Mock

import httpx
import pytest
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from services.asgi import read_body, send_json
from services.http_protocol import LONGEST_HEAD, HttpProtocol
from tests.gateway import listening, listening_on
from tests.wire import request, wire

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from services.asgi import Receive, Scope, Send
    from tests.wire import Wire

POST = b"POST"
CHUNKED = b"transfer-encoding: chunked"
UPGRADES = (
    (
        b"connection: Upgrade",
        b"upgrade: websocket",
        b"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==",
        b"sec-websocket-version: 13",
    ),
    (b"connection: Upgrade, HTTP2-Settings", b"upgrade: h2c", b"http2-settings: AAEAAEAAAAIAAAAAAAMAAAAA"),
)


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with what it was asked; without reading the body where the path says so."""
    seen = {
        "method": scope["method"],
        "path": scope["path"],
        "headers": [[name.decode("latin-1"), value.decode("latin-1")] for name, value in scope["headers"]],
    }
    if scope["path"] != "/refused":
        seen["body"] = (await read_body(scope, receive, 2**24)).decode("latin-1")
        seen["headers"] = [[name.decode("latin-1"), value.decode("latin-1")] for name, value in scope["headers"]]
    await send_json(send, 200, json.dumps(seen).encode())


@asynccontextmanager
async def connected(path: Path, http: type[HttpProtocol] = HttpProtocol) -> AsyncIterator[Wire]:
    """A connection to `echo`."""
    async with asyncio.timeout(30), listening(echo, path / "socket", http), wire(path / "socket") as connection:
        yield connection


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


LONG = {
    "target": request(b"/" + b"a" * LONGEST_HEAD),
    "query": request(b"/?" + b"a" * LONGEST_HEAD),
    "header": request(b"/", b"x: " + b"a" * LONGEST_HEAD),
    "name": request(b"/", b"a" * LONGEST_HEAD + b": x"),
    "headers": request(b"/", *[b"x: y"] * 20_000),
    "unfinished header": request(b"/", b"x: " + b"a" * 2 * LONGEST_HEAD)[:-4],
    "nothing but lines": b"\r\n" * 100_000,
    "trailer": request(b"/", CHUNKED, method=POST, body=b"2\r\nhi\r\n0\r\nx: " + b"a" * 10 * LONGEST_HEAD),
    "chunk extension": request(b"/", CHUNKED, method=POST, body=b"2;" + b"a" * 10 * LONGEST_HEAD),
}


@pytest.mark.parametrize("name", LONG)
@pytest.mark.parametrize("piece", [4000, 10**6])
async def test_long_head_is_refused_however_it_comes(tmp_path: Path, name: str, piece: int) -> None:
    data = LONG[name]
    async with connected(tmp_path) as client:
        sending = asyncio.create_task(_in_pieces(client, data, piece))
        heard = await client.answer()
        assert (heard.status, heard.headers["connection"]) == (431, "close")
        assert await client.rest() == b""
        await sending


async def _in_pieces(client: Wire, data: bytes, piece: int) -> None:
    for at in range(0, len(data), piece):
        await client.send(data[at : at + piece])
        await asyncio.sleep(0)


async def test_head_just_below_the_limit_passes_behind_a_large_body(tmp_path: Path) -> None:
    large = request(b"/", method=POST, body=b"x" * 900_000)
    async with connected(tmp_path) as client:
        sending = asyncio.create_task(client.send(large + request(b"/long", b"x: " + b"a" * (LONGEST_HEAD - 100))))
        assert len(json.loads((await client.answer()).body)["body"]) == 900_000
        assert json.loads((await client.answer()).body)["path"] == "/long"
        await sending


class Hasty(HttpProtocol):
    look_seconds = 0.05


@pytest.mark.parametrize("begun", [b"", b"POST", request(b"/")[:-2], request(b"/", method=POST, body=b"body")[:-2]])
async def test_request_that_never_ends_is_given_up(tmp_path: Path, begun: bytes) -> None:
    async with connected(tmp_path, Hasty) as client:
        await client.send(begun)
        heard = await client.rest()
        assert heard.startswith(b"HTTP/1.1 408 ") if begun else heard == b""


async def test_body_that_drips_is_given_up(tmp_path: Path) -> None:
    async with connected(tmp_path, Hasty) as client:
        await client.send(request(b"/", b"content-length: 100000", method=POST))
        dripping = asyncio.create_task(_drip(client))
        heard = await client.rest()  # lost when a drop meets the closed connection first
        assert heard == b"" or heard.startswith(b"HTTP/1.1 408 ")
        dripping.cancel()


async def _drip(client: Wire) -> None:
    while True:
        await client.send(b"x")
        await asyncio.sleep(0.005)


async def test_connection_that_goes_on_sending_after_its_answer_is_given_up(tmp_path: Path) -> None:
    async with connected(tmp_path, Hasty) as client:
        heard = await client.ask(request(b"/refused", b"content-length: 100000", method=POST))
        assert heard.status == 200
        dripping = asyncio.create_task(_drip(client))
        assert await client.rest() == b""
        dripping.cancel()


async def test_client_that_reads_nothing_is_let_go_of_and_its_work_ends(tmp_path: Path) -> None:
    ended = asyncio.Event()
    sent = 0

    async def endless(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal sent

        async def write() -> None:
            nonlocal sent
            await send({"type": "http.response.start", "status": 200, "headers": []})
            while True:
                await send({"type": "http.response.body", "body": b"x" * 2**14, "more_body": True})
                sent += 2**14
                await asyncio.sleep(0)

        writing = asyncio.create_task(write())
        while (await receive())["type"] != "http.disconnect":
            pass
        writing.cancel()
        ended.set()

    async with asyncio.timeout(30), listening(endless, tmp_path / "socket", Hasty):
        _, writer = await asyncio.open_unix_connection(str(tmp_path / "socket"), limit=2**10)
        writer.write(request(b"/"))
        await ended.wait()
        writer.transport.abort()
    assert 0 < sent < 2**22


async def test_client_that_reads_slowly_is_waited_for(tmp_path: Path) -> None:
    """It takes something between two looks, for many looks."""
    body = b"x" * 2**22

    class Watching(HttpProtocol):
        look_seconds = 0.2

    async def large(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for start in range(0, len(body), 2**15):
            await send({"type": "http.response.body", "body": body[start : start + 2**15], "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    heard = 0
    async with asyncio.timeout(30), listening(large, tmp_path / "socket", Watching):
        reader, writer = await asyncio.open_unix_connection(str(tmp_path / "socket"), limit=2**10)
        writer.write(request(b"/", b"connection: close"))
        while piece := await reader.read(2**15):
            heard += len(piece)
            await asyncio.sleep(0.01)
        writer.close()
    assert heard > len(body)


async def test_slow_answer_is_waited_for(tmp_path: Path) -> None:
    """As many looks as it takes: the client owes nothing."""
    looks = 0

    class Watched(Hasty):
        def _look(self) -> None:
            nonlocal looks
            looks += 1
            super()._look()
            if looks == 5:
                enough.set()

    enough = asyncio.Event()

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        await read_body(scope, receive, 10)
        await enough.wait()
        await send_json(send, 200, b"{}")

    async with asyncio.timeout(30), listening(slow, tmp_path / "socket", Watched), wire(tmp_path / "socket") as client:
        assert (await client.ask(request(b"/", method=POST, body=b"hi"))).status == 200


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
