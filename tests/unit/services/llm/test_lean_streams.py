from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Route

from services.llm.lean_streams import STRAIGHT, StraightResponse

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request
    from starlette.responses import StreamingResponse
    from starlette.types import ASGIApp, Message, Receive, Scope, Send


class Layer:
    """Middleware that writes down what passes it on the way out, and changes the head."""

    seen: list[str]

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def passing(message: Message) -> None:
            self.seen.append(message["type"])
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], (b"x-layer", b"1")]}
            await send(message)

        await self._app(scope, receive, passing)


async def words() -> AsyncIterator[str | bytes]:
    yield "data: é\n\n"
    yield b"data: 2\n\n"


async def answer(_request: Request) -> StreamingResponse:
    return StraightResponse(words(), media_type="text/event-stream")


async def silent() -> AsyncIterator[str]:
    yield "data: 1\n\n"
    await asyncio.Event().wait()


async def wait(_request: Request) -> StreamingResponse:
    return StraightResponse(silent(), media_type="text/event-stream")


@pytest.fixture
def app() -> Starlette:
    Layer.seen = []
    return Starlette(routes=[Route("/", answer), Route("/wait", wait)], middleware=[Middleware(Layer)])


async def ask(app: ASGIApp, scope: dict[str, Any], leaves: bool = False) -> list[Message]:
    sent: list[Message] = []
    begun = asyncio.Event()

    async def receive() -> Message:
        await begun.wait()
        if not leaves:
            await asyncio.Event().wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)
        if message.get("body"):
            begun.set()

    if STRAIGHT in scope:
        scope[STRAIGHT] = send
    whole = {"type": "http", "method": "GET", "path": "/", "headers": [], "query_string": b""} | scope
    async with asyncio.timeout(5):
        await app(whole, receive, send)
    return sent


@pytest.mark.parametrize("scope", [{}, {STRAIGHT: None}])
async def test_a_stream_is_the_same_with_and_without_its_layers(app: Starlette, scope: dict[str, Any]) -> None:
    head, *pieces = await ask(app, dict(scope))
    assert head["status"] == 200
    assert (b"x-layer", b"1") in head["headers"]
    assert (b"content-type", b"text/event-stream; charset=utf-8") in head["headers"]
    assert [piece["body"] for piece in pieces] == ["data: é\n\n".encode(), b"data: 2\n\n", b""]
    assert [piece["more_body"] for piece in pieces] == [True, True, False]
    assert Layer.seen == ["http.response.start"] + ([] if scope else ["http.response.body"] * 3)


async def test_a_client_that_leaves_ends_a_stream_past_its_layers(app: Starlette) -> None:
    sent = await ask(app, {"path": "/wait", STRAIGHT: None}, leaves=True)
    assert [message.get("body") for message in sent] == [None, b"data: 1\n\n"]
