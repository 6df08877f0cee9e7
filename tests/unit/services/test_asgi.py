from __future__ import annotations

import tracemalloc
from typing import TYPE_CHECKING

import bentoml
import pytest

from services.asgi import FrontMiddleware, read_body, send_json
from services.errors import InvalidInput, PayloadTooLarge
from tests.asgi import Client, http_scope, no_fallback

if TYPE_CHECKING:
    from services.asgi import ASGIApp, Receive, Scope, Send

LIMIT = 10


async def read(client: Client, content_length: bytes | None = None) -> bytes:
    headers = () if content_length is None else ((b"content-length", content_length),)
    return await read_body(http_scope("POST", "/", headers), client.receive, LIMIT)


@pytest.mark.parametrize(
    ("parts", "body"),
    [
        ((), b""),
        ((b"whole",), b"whole"),
        ((b"0123456789",), b"0123456789"),
        ((b"in ", b"two"), b"in two"),
        ((b"", b"", b"late"), b"late"),
        ((b"early", b""), b"early"),
    ],
)
async def test_reads_the_whole_body(parts: tuple[bytes, ...], body: bytes) -> None:
    assert await read(Client(*parts)) == body
    assert await read(Client(*parts), b"%d" % len(body)) == body


@pytest.mark.parametrize("parts", [(b"01234567890",), (b"01234", b"567890"), (b"012345678", b"9", b"0")])
async def test_body_over_the_limit(parts: tuple[bytes, ...]) -> None:
    with pytest.raises(PayloadTooLarge):
        await read(Client(*parts))


async def test_announced_length_over_the_limit_is_refused_unread() -> None:
    client = Client(b"unread")
    for length in (b"11", b"9" * 5000):
        with pytest.raises(PayloadTooLarge):
            await read(client, length)
    assert (await client.receive())["body"] == b"unread"


async def test_tiny_parts_take_no_multiple_of_their_size() -> None:
    size = 200_000
    waiting = iter(range(size // 2))

    async def receive() -> dict[str, object]:
        number = next(waiting)
        return {"type": "http.request", "body": b"%02d" % (number % 100), "more_body": number < size // 2 - 1}

    tracemalloc.start()
    body = await read_body(http_scope("POST", "/"), receive, size)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(body) == size
    assert peak < 4 * size


async def test_reading_stops_at_the_limit() -> None:
    client = Client(b"0123456789", b"0", b"unread")
    with pytest.raises(PayloadTooLarge):
        await read(client)
    assert (await client.receive())["body"] == b"unread"


@pytest.mark.parametrize("length", [b"ten", b"", b"-1", b"1e3", b"0x10", b"1_0", b"\xd9\xa3"])
async def test_content_length_that_is_no_length(length: bytes) -> None:
    with pytest.raises(InvalidInput) as caught:
        await read(Client(b"body"), length)
    assert not isinstance(caught.value, PayloadTooLarge)


@pytest.mark.parametrize("parts", [1, 2])
async def test_client_that_leaves_early(parts: int) -> None:
    client = Client(*[b"part"] * (parts + 1))
    received = 0

    async def receive() -> object:
        nonlocal received
        received += 1
        if received > parts:
            client.leave()
        return await client.receive()

    with pytest.raises(InvalidInput, match="left"):
        await read_body(http_scope("POST", "/"), receive, 100)  # type: ignore[arg-type]


async def test_client_that_leaves_before_its_body() -> None:
    client = Client(b"part")
    client.leave()
    with pytest.raises(InvalidInput, match="left"):
        await read(client)


async def test_answer_of_json() -> None:
    client = Client()
    await send_json(client.send, 201, b"{}", ((b"x-extra", b"1"),))
    assert client.status == 201
    assert client.headers == {"content-length": "2", "content-type": "application/json", "x-extra": "1"}
    assert client.pieces == [b"{}"]
    assert client.complete


class Service:
    """As much of a service as the middleware needs."""

    def __init__(self) -> None:
        self.fronts = 0

    def front(self, fallback: ASGIApp) -> ASGIApp:
        self.fronts += 1

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["path"] == "/own":
                await send_json(send, 200, b'"own"')
            else:
                await fallback(scope, receive, send)

        return app


async def test_front_sees_requests_first_and_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    service = Service()
    monkeypatch.setattr(bentoml, "get_current_service", lambda: service)
    app = FrontMiddleware(no_fallback)
    for _ in range(2):
        client = Client()
        await client.ask(app, "GET", "/own")
        assert client.pieces == [b'"own"']
    with pytest.raises(AssertionError, match="/other reached BentoML's app"):
        await Client().ask(app, "GET", "/other")
    assert service.fronts == 1


async def test_lifespan_goes_to_bentoml_before_there_is_a_service() -> None:
    seen = []

    async def bentoml_app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["type"])

    client = Client()
    await FrontMiddleware(bentoml_app)({"type": "lifespan"}, client.receive, client.send)
    assert seen == ["lifespan"]


async def test_websocket_is_closed_and_reaches_nobody() -> None:
    client = Client()
    await FrontMiddleware(no_fallback)({"type": "websocket", "path": "/"}, client.receive, client.send)
    assert client.sent == [{"type": "websocket.close"}]
