"""However a request is written, byte for byte: what reaches the language model, and that no answer goes to another request.

Real sockets on both sides: uvicorn with our protocol before the gateway, and behind it a server that keeps what came.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from services.gateway.openai.routes import MODELS_PATH, PASSED_THROUGH
from tests.fake_llm import LLM_NAME
from tests.gateway import listening
from tests.http_server import serving
from tests.wire import request, wire
from tests.wired import LLM_READY, Wired, classifier_at

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.http_server import Request, Server
    from tests.wire import Wire

CHAT = b"/v1/chat/completions"
POST = b"POST"
CHUNKED = b"transfer-encoding: chunked"
_marks = itertools.count()


def chat(mark: str, **fields: object) -> bytes:
    """The body of a chat whose answer has `mark` in it."""
    return json.dumps({"model": LLM_NAME, "messages": [], "user": mark, **fields}).encode()


def chunked(body: bytes) -> bytes:
    return b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)


async def answer_with_mark(received: Request) -> None:
    if received.path == MODELS_PATH:
        await received.answer(
            json.dumps({"data": [{"id": LLM_NAME}]}).encode(), headers="content-type: application/json\r\n"
        )
        return
    asked = json.loads(received.body)
    if asked.get("stream"):
        await received.begin("content-type: text/event-stream\r\n")
        await received.chunk(b"data: %b\n\n" % asked["user"].encode())
        await received.chunk(b"")
    else:
        await received.answer(received.body, headers="content-type: application/json\r\n")


@pytest.fixture
async def upstream(tmp_path: Path) -> AsyncIterator[Server]:
    """What the gateway takes for the language model; the gateway listens on `tmp_path / "front"`."""
    wired = Wired(tmp_path)
    async with (
        asyncio.timeout(60),
        classifier_at(wired.paths["classifier"]),
        serving(answer_with_mark, wired.paths["llm"]) as server,
        wired.client(),
    ):
        server.on_probe = lambda received: received.answer(LLM_READY)
        await wired.bundle.monitor.look()
        async with listening(wired.bundle.app, tmp_path / "front"):
            yield server


@asynccontextmanager
async def client_of(upstream: Server, tmp_path: Path) -> AsyncIterator[Wire]:
    """A connection to the gateway; nothing but the allowlist and whole bodies have reached `upstream` when it ends."""
    async with wire(tmp_path / "front") as client:
        yield client
    # The gateway's connections to the language model are in step: each answer is that of its own request.
    for stream in (False, True, False):
        mark = f"after {next(_marks)}"
        async with wire(tmp_path / "front") as other:
            heard = await other.ask(request(CHAT, method=POST, body=chat(mark, stream=stream)))
        assert (heard.status, mark.encode() in heard.body) == (200, True)
    allowed = {("GET", MODELS_PATH), *(("POST", path) for path in PASSED_THROUGH)}
    for received in upstream.requests:
        assert (received.method, received.path) in allowed
        assert "transfer-encoding" not in received.headers
        assert not received.body or json.loads(received.body)["model"] == LLM_NAME
        assert not {"upgrade", "expect", "x-smuggled", "te", "trailer"} & received.headers.keys()


INNER = request(b"/pause", b"x-smuggled: 1", method=POST)
BODY = chat("whole")
LENGTH = b"content-length: %d" % len(BODY)
REFUSED = {
    "two lengths": request(CHAT, LENGTH, b"content-length: 5", method=POST, body=BODY),
    "the same length twice": request(CHAT, LENGTH, LENGTH, method=POST, body=BODY),
    "list of lengths": request(CHAT, b"content-length: 5, %d" % len(BODY), method=POST, body=BODY),
    "length and chunks": request(CHAT, b"content-length: 5", CHUNKED, method=POST, body=chunked(BODY) + INNER),
    "chunks and length": request(CHAT, CHUNKED, b"content-length: 5", method=POST, body=chunked(BODY) + INNER),
    "length of none, and chunks": request(CHAT, b"content-length: 0", CHUNKED, method=POST, body=chunked(BODY) + INNER),
    "chunks twice": request(CHAT, CHUNKED, b"transfer-encoding: identity", method=POST, body=chunked(BODY)),
    "chunks not last": request(CHAT, b"transfer-encoding: chunked, gzip", method=POST, body=chunked(BODY)),
    "unknown coding": request(CHAT, b"transfer-encoding: xchunked", method=POST, body=chunked(BODY)),
    "coding after a vertical tab": request(CHAT, b"transfer-encoding: \x0bchunked", method=POST, body=chunked(BODY)),
    "space before the colon": request(CHAT, b"transfer-encoding : chunked", method=POST, body=chunked(BODY)),
    "length with a sign": request(CHAT, b"content-length: +%d" % len(BODY), method=POST, body=BODY),
    "negative length": request(CHAT, b"content-length: -1", method=POST, body=BODY),
    "hexadecimal length": request(CHAT, b"content-length: 0x10", method=POST, body=BODY),
    "length past all": request(CHAT, b"content-length: 99999999999999999999", method=POST, body=BODY),
    "folded header": request(CHAT, b"transfer-encoding:\r\n chunked", method=POST, body=chunked(BODY)),
    "bare line feeds": request(CHAT, LENGTH, method=POST, body=BODY).replace(b"\r\n", b"\n"),
    "bare line feed in a header": request(CHAT, b"x: y\ncontent-length: 0", LENGTH, method=POST, body=BODY),
    "bare carriage return": request(CHAT, b"x: y\rcontent-length: 0", LENGTH, method=POST, body=BODY),
    "null in a header": request(CHAT, b"x: y\x00", LENGTH, method=POST, body=BODY),
    "null in a header's name": request(CHAT, b"x\x00: y", LENGTH, method=POST, body=BODY),
    "null in the path": request(CHAT + b"\x00", LENGTH, method=POST, body=BODY),
    "space in the path": request(b"/v1/models /pause", b"x: y"),
    "path that is not ASCII": request("/v1/modéls".encode(), b"x: y"),
    "chunk past all": request(CHAT, CHUNKED, method=POST, body=b"fffffffffffffffff\r\n" + BODY),
    "negative chunk": request(CHAT, CHUNKED, method=POST, body=b"-1\r\n" + BODY),
    "chunk longer than it says": request(CHAT, CHUNKED, method=POST, body=b"2\r\n" + BODY + b"\r\n0\r\n\r\n" + INNER),
    "chunk with line feeds": request(CHAT, CHUNKED, method=POST, body=chunked(BODY).replace(b"\r\n", b"\n")),
    "line feed in a chunk's extension": request(CHAT, CHUNKED, method=POST, body=b"2;\nx\r\n{}\r\n0\r\n\r\n"),
    "length among the trailers": request(
        CHAT, CHUNKED, method=POST, body=chunked(BODY)[:-2] + b"content-length: 5\r\n\r\n" + INNER
    ),
    "proxy's method": request(b"tandem:443", method=b"CONNECT") + INNER,
    "method in small letters": request(CHAT, LENGTH, method=b"post", body=BODY),
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/3.0": request(MODELS_PATH.encode()).replace(b"HTTP/1.1", b"HTTP/3.0"),
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "another scheme": request(b"file:///v1/models"),
    "port past all": request(b"http://tandem:99999/v1/models"),
    "long target": request(b"/v1/models/" + b"x" * 70_000),
    "long header": request(CHAT, b"x: " + b"y" * 70_000, LENGTH, method=POST, body=BODY),
}


async def test_what_can_be_read_in_two_ways_is_refused_and_ends_the_connection(
    upstream: Server, tmp_path: Path
) -> None:
    for name, data in REFUSED.items():
        upstream.requests.clear()
        async with client_of(upstream, tmp_path) as client:
            heard = await client.ask(data)
            assert heard.status in {400, 405, 431}, name
            await client.send(INNER)
            assert await client.rest() == b"", name
            assert upstream.requests == [], name


TAKEN = {
    "length": request(CHAT, LENGTH, method=POST, body=BODY),
    "chunks": request(CHAT, CHUNKED, method=POST, body=chunked(BODY)),
    "chunk of one byte each": request(
        CHAT, CHUNKED, method=POST, body=b"".join(b"1\r\n%c\r\n" % byte for byte in BODY) + b"0\r\n\r\n"
    ),
    "chunk extension": request(CHAT, CHUNKED, method=POST, body=b"%x;a=b\r\n%b\r\n0;c\r\n\r\n" % (len(BODY), BODY)),
    "trailers": request(
        CHAT,
        CHUNKED,
        method=POST,
        body=chunked(BODY)[:-2]
        + b"x-request-timeout: never\r\nx-request-id: t\r\nx-smuggled: 1\r\nauthorization: no\r\n\r\n",
    ),
    "coding in capitals": request(CHAT, b"TRANSFER-ENCODING: Chunked", method=POST, body=chunked(BODY)),
    "a path written in escapes": request(b"/v1/chat/completion%73?x=/../pause", LENGTH, method=POST, body=BODY),
    "absolute form": request(b"http://elsewhere/v1/chat/completions", LENGTH, method=POST, body=BODY),
    "HTTP/1.0": request(CHAT, LENGTH, method=POST, body=BODY).replace(b"HTTP/1.1", b"HTTP/1.0"),
    "empty lines before": b"\r\n\r\n" + request(CHAT, LENGTH, method=POST, body=BODY),
    "upgrade to HTTP/2": request(CHAT, LENGTH, b"connection: upgrade", b"upgrade: h2c", method=POST, body=BODY),
    "upgrade to a WebSocket": request(
        CHAT, LENGTH, b"connection: upgrade", b"upgrade: websocket", method=POST, body=BODY
    ),
    "what is hop by hop": request(
        CHAT, LENGTH, b"te: trailers", b"trailer: x", b"keep-alive: 5", b"proxy-connection: x", method=POST, body=BODY
    ),
    "another host": request(
        CHAT, LENGTH, b"host: b", b"x-forwarded-host: c", b"x-original-url: /pause", method=POST, body=BODY
    ),
    "another method": request(CHAT, LENGTH, b"x-http-method-override: GET", method=POST, body=BODY),
}


async def test_what_can_be_read_in_one_way_arrives_once_and_whole(upstream: Server, tmp_path: Path) -> None:
    for name, data in TAKEN.items():
        upstream.requests.clear()
        async with client_of(upstream, tmp_path) as client:
            heard = await client.ask(data)
            assert (heard.status, heard.body) == (200, BODY), name
            received = [(one.method, one.path, one.body) for one in upstream.requests]
            assert received == [("POST", CHAT.decode(), BODY)], name
            assert upstream.requests[0].headers["content-length"] == str(len(BODY))
            assert heard.headers["x-request-id"] != "t"


async def test_pipelined_requests_are_answered_in_order(upstream: Server, tmp_path: Path) -> None:
    marks = [f"pipelined {number}" for number in range(8)]
    async with client_of(upstream, tmp_path) as client:
        await client.send(b"".join(request(CHAT, method=POST, body=chat(mark)) for mark in marks))
        for mark in marks:
            assert json.loads((await client.answer()).body)["user"] == mark


async def test_request_in_a_body_stays_a_body(upstream: Server, tmp_path: Path) -> None:
    """Even one that was refused before its body was read."""
    async with client_of(upstream, tmp_path) as client:
        for target in (b"/pause", b"/v1/models", b"/metrics", b"/v1/chat/completions/"):
            heard = await client.ask(request(target, method=POST, body=INNER))
            assert heard.status in {404, 405}
        assert (await client.ask(request(b"/livez", body=INNER))).status == 200
        assert upstream.requests == []


async def test_refused_expectation_leaves_nothing_behind(upstream: Server, tmp_path: Path) -> None:
    async with client_of(upstream, tmp_path) as client:
        heard = await client.ask(request(b"/pause", b"expect: 100-continue", b"content-length: 500", method=POST))
        assert heard.status == 404
        await client.send(request(CHAT, method=POST, body=BODY))
        assert await client.rest() == b""
        assert upstream.requests == []


async def test_too_large_a_body_is_refused_unread(upstream: Server, tmp_path: Path) -> None:
    async with client_of(upstream, tmp_path) as client:
        heard = await client.ask(request(CHAT, b"content-length: 99999999999", b"expect: 100-continue", method=POST))
        assert (heard.status, heard.headers["connection"]) == (413, "close")
        assert upstream.requests == []


async def test_client_that_leaves_in_its_body_reaches_nobody(upstream: Server, tmp_path: Path) -> None:
    async with client_of(upstream, tmp_path) as client:
        await client.send(request(CHAT, b"content-length: 5000", method=POST, body=BODY))
        client.close()
    assert all(json.loads(received.body)["user"] != "whole" for received in upstream.requests)
