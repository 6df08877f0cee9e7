"""Heads that came before on a connection: whatever a client sends, it is as if each had been parsed."""

from __future__ import annotations

import asyncio
import json
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
import uvicorn
from hypothesis import given
from hypothesis import strategies as st
from uvicorn.server import ServerState

from services.asgi import send_bytes
from services.http_protocol import HttpProtocol
from services.known_head import KnownHead, known_head
from tests.gateway import listening
from tests.unit.services.http_protocol.echoing import POST, connected, echo
from tests.wire import request, wire

if TYPE_CHECKING:
    from pathlib import Path

    from services.asgi import Receive, Scope, Send

KNOWN: list[bytes] = []
"""The bodies of requests whose head was recognised."""


class Recognising(HttpProtocol):
    def _begin_known(self, known: KnownHead, body: bytes) -> None:
        KNOWN.append(body)
        super()._begin_known(known, body)


class Parsing(HttpProtocol):
    """Never remembers a head."""

    def _remember(self, data: bytes) -> None:
        """Not this one."""


@pytest.fixture(autouse=True)
def _none_known() -> None:
    KNOWN.clear()


async def test_repeated_head_is_recognised_whatever_the_length_of_the_body(tmp_path: Path) -> None:
    async with connected(tmp_path, Recognising) as client:
        for size in (3, 3, 12, 1, 7_000):
            body = b"x" * size
            seen = json.loads((await client.ask(request(b"/a?b", b"X-Key: 1", method=POST, body=body))).body)
            assert (seen["method"], seen["path"], seen["body"]) == ("POST", "/a", body.decode())
            assert ["content-length", str(size)] in seen["headers"]
            assert ["x-key", "1"] in seen["headers"]
    assert [len(body) for body in KNOWN] == [3, 12, 1, 7_000]


async def test_repeated_head_without_a_body_is_recognised(tmp_path: Path) -> None:
    async with connected(tmp_path, Recognising) as client:
        for _ in range(3):
            assert (await client.ask(request(b"/"))).status == 200
    assert KNOWN == [b"", b""]


async def test_another_head_is_parsed_and_then_known_instead(tmp_path: Path) -> None:
    async with connected(tmp_path, Recognising) as client:
        for path in (b"/a", b"/b", b"/b", b"/a"):
            assert json.loads((await client.ask(request(path))).body)["path"] == path.decode()
    assert len(KNOWN) == 1


async def test_client_that_repeats_no_head_has_none_remembered_for_long(tmp_path: Path) -> None:
    async with connected(tmp_path, Recognising) as client:
        for number in range(6):
            await client.ask(request(b"/%d" % number))
        await client.ask(request(b"/5"))
    assert KNOWN == []


async def test_body_that_was_refused_unread_is_no_request(tmp_path: Path) -> None:
    """What looks like the next request is the rest of a body."""
    inner = request(b"/refused", method=POST, body=b"hello")
    async with connected(tmp_path, Recognising) as client:
        for _ in range(2):
            assert (await client.ask(inner)).status == 200
        outer = request(b"/refused", method=POST, body=inner * 2)
        head = outer[: -2 * len(inner)]
        assert (await client.ask(head)).status == 200
        await client.send(inner)
        await client.send(inner)
        assert json.loads((await client.ask(request(b"/next"))).body)["path"] == "/next"
    assert KNOWN == [b"hello"]


async def test_request_knows_nothing_of_what_the_last_ones_app_left_on_it(tmp_path: Path) -> None:
    found: list[tuple[dict[str, Any], int]] = []

    async def app(scope: Scope, _receive: Receive, send: Send) -> None:
        found.append((dict(scope["state"]), len(scope["headers"])))
        scope["state"]["mine"] = True
        scope["headers"].append((b"mine", b""))
        await send_bytes(send, 200, b"", ())

    async with listening(app, tmp_path / "socket", Recognising), wire(tmp_path / "socket") as client:
        for _ in range(3):
            await client.ask(request())
    assert found == [({}, 1)] * 3
    assert len(KNOWN) == 2


SCOPE: dict[str, Any] = {"type": "http", "state": {}, "headers": [(b"host", b"a"), (b"content-length", b"2")]}


@pytest.mark.parametrize(
    ("data", "headers"),
    [
        (b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nhi", [(b"host", b"a"), (b"content-length", b"2")]),
        (b"POST / HTTP/1.1\r\nContent-Length:2\r\nhost: a\r\n\r\nhi", [(b"content-length", b"2"), (b"host", b"a")]),
        (b"POST /2 HTTP/1.1\r\ncontent-length: \t 2\r\n2: 2\r\n\r\nhi", [(b"content-length", b"2"), (b"2", b"2")]),
    ],
)
def test_requests_with_that_head_are_told_from_others(data: bytes, headers: list[tuple[bytes, bytes]]) -> None:
    known = known_head(data, SCOPE | {"headers": headers})
    assert known is not None
    assert known.body_in(data) == b"hi"
    longer = data.replace(b"2\r\n", b"3\r\n", 1) + b"!"
    assert known.body_in(longer) == b"hi!"
    assert dict(known.scope(3)["headers"])[b"content-length"] == b"3"
    assert headers[0] == known.scope(2)["headers"][0]
    others = (
        data[:-1],
        data + b"!",
        b" " + data,
        data.replace(b"\r\n\r\n", b"\r\na: b\r\n\r\n"),
        data[: data.index(b"2")],
    )
    assert [known.body_in(other) for other in others] == [None] * len(others)
    for digits in (b"", b"-2", b"+2", b" 2", b"2 ", b"02", b"0x2", b"2_", b"\xb2", b"2" * 40):
        place = data.index(b"2\r\n")
        assert known.body_in(data[:place] + digits + data[place + 1 :]) is None, digits


@pytest.mark.parametrize(
    "data",
    [
        b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\nhi",
        b"POST / HTTP/1.1\r\ncontent-length: 2\r\ncontent-length: 2\r\n\r\nhi",
        b"POST / HTTP/1.1\r\ncontent-length: 2 \r\n\r\nhi",
        b"GET / HTTP/1.1\r\nupgrade: h2c\r\n\r\n",
        b"GET / HTTP/1.1\r\nx: " + b"y" * 5_000 + b"\r\n\r\n",
    ],
)
def test_what_is_more_than_a_head_and_a_body_of_known_length_is_not_remembered(data: bytes) -> None:
    lines = data.partition(b"\r\n\r\n")[0].split(b"\r\n")[1:]
    pairs = [line.partition(b":") for line in lines]
    headers = [(name, value.strip()) for name, _, value in pairs]
    assert known_head(data, SCOPE | {"headers": headers}) is None


class Transport(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 1), "sockname": ("127.0.0.1", 2)})
        self.written = b""
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += bytes(data)

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    abort = close

    def pause_reading(self) -> None:
        """Reads come from the test."""

    def resume_reading(self) -> None:
        """Reads come from the test."""

    def get_write_buffer_size(self) -> int:
        return 0


async def answers(protocol: type[HttpProtocol], reads: list[tuple[bytes, bool]]) -> tuple[bytes, bool]:
    """What a client hears that sends these reads, and waits after some of them; and whether it is hung up on."""
    config = uvicorn.Config(echo, lifespan="off", log_config=None)
    config.load()
    state = ServerState()
    one = protocol(config=config, server_state=state, app_state={})
    transport = Transport()
    one.connection_made(transport)
    for data, waits in (*reads, (b"", True)):
        if not transport.closed and data:
            one.data_received(data)
        for _ in range(20 if waits else 1):
            await asyncio.sleep(0)
    one.connection_lost(ConnectionResetError())
    await asyncio.gather(*state.tasks)
    return transport.written, transport.closed


LINES = (b"host: a", b"Host: a", b"x-key: 1", b"connection: keep-alive", b"connection: close", b"expect: 100-continue")
LENGTHS = (
    b"content-length: %d",
    b"Content-Length:%d",
    b"content-length: %d ",
    b"content-length: 0%d",
    b"content-length: 1%d",
)
CHUNKED = b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"


@st.composite
def heads(draw: st.DrawFn) -> tuple[bytes, ...]:
    first = draw(
        st.sampled_from((b"POST / HTTP/1.1", b"POST /refused HTTP/1.1", b"GET /a%20b?c HTTP/1.1", b"POST / HTTP/1.0"))
    )
    lines = draw(st.lists(st.sampled_from(LINES), max_size=2))
    lengths = draw(st.lists(st.sampled_from(LENGTHS), max_size=1 if draw(st.integers(0, 9)) else 2))
    return (first, *lines, *lengths)


@st.composite
def conversations(draw: st.DrawFn) -> list[tuple[bytes, bool]]:
    """Requests, many with the same head, cut into reads anywhere."""
    few = draw(st.lists(heads(), min_size=1, max_size=2))
    data = b""
    ends = [0]
    for _ in range(draw(st.integers(2, 6))):
        body = draw(st.sampled_from((b"", b"hi", b"hello, hello", b"GET / HTTP/1.1\r\n\r\n")))
        head = draw(st.sampled_from(few))
        has_length = any(b"%d" in line for line in head)
        lines = [line % len(body) if b"%d" in line else line for line in head]
        data += (
            b"\r\n".join(lines) + b"\r\n\r\n" + (body if has_length else b"") if draw(st.integers(0, 9)) else CHUNKED
        )
        ends.append(len(data))
    kept = [end for end in ends if draw(st.integers(0, 9))]
    cuts = draw(st.lists(st.integers(0, len(data)), max_size=draw(st.sampled_from((0, 0, 1, 3)))))
    places = sorted({0, len(data), *kept, *cuts})
    return [(data[begin:end], bool(draw(st.integers(0, 3)))) for begin, end in pairwise(places)]


@given(conversations())
def test_whatever_comes_is_answered_as_if_every_head_were_parsed(reads: list[tuple[bytes, bool]]) -> None:
    async def both() -> None:
        assert await answers(Recognising, reads) == await answers(Parsing, reads)

    asyncio.run(both())


def test_such_conversations_do_repeat_heads() -> None:
    one = request(b"/", method=POST, body=b"hi")
    asyncio.run(answers(Recognising, [(one, True), (one, True), (one * 2, True)]))
    assert KNOWN == [b"hi"]
