"""Both ends of an ASGI connection, for tests that must see every message."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from services.asgi import ASGIApp, Message, Scope


def http_scope(method: str = "GET", path: str = "/", headers: Iterable[tuple[bytes, bytes]] = ()) -> Scope:
    """What a server hands to an app for one request; `path` is as decoded."""
    return {"type": "http", "method": method, "path": path, "headers": list(headers), "query_string": b""}


class Client:
    """The client's end: sends `parts` as the body, keeps what it receives, and leaves when told to."""

    def __init__(self, *parts: bytes) -> None:
        """Without `parts` the body is empty."""
        self._parts = list(parts or (b"",))
        self._gone = asyncio.Event()
        self.sent: list[Message] = []
        self.received_body = asyncio.Event()
        """Set when the first bytes of an answer's body have come."""

    def leave(self) -> None:
        """Close the connection: before all of the body is sent when there are parts left."""
        self._gone.set()

    async def receive(self) -> Message:
        if self._parts and not self._gone.is_set():
            part = self._parts.pop(0)
            return {"type": "http.request", "body": part, "more_body": bool(self._parts)}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        self.sent.append(message)
        if message.get("body"):
            self.received_body.set()
        if message["type"] == "http.response.body" and not message.get("more_body"):
            self._gone.set()  # as uvicorn says when an answer is complete

    async def ask(self, app: ASGIApp, method: str, path: str, headers: Iterable[tuple[bytes, bytes]] = ()) -> None:
        """One request to `app`, until it returns."""
        await app(http_scope(method, path, headers), self.receive, self.send)

    @property
    def status(self) -> int:
        """Status of the answer."""
        status: int = self.sent[0]["status"]
        return status

    @property
    def headers(self) -> dict[str, str]:
        """Headers of the answer."""
        return {name.decode(): value.decode() for name, value in self.sent[0]["headers"]}

    @property
    def pieces(self) -> list[bytes]:
        """The answer's body, in the pieces it came in."""
        return [message["body"] for message in self.sent[1:] if message.get("body")]

    @property
    def complete(self) -> bool:
        """Whether the answer was sent to its end."""
        return len(self.sent) > 1 and not self.sent[-1].get("more_body", False)


async def no_fallback(scope: Scope, receive: Any, send: Any) -> None:
    """Stands where BentoML's app would: nothing of a test should get here."""
    raise AssertionError(f"{scope['path']} reached BentoML's app")
