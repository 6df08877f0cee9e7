"""The few ASGI moves that every service needs: first look at a request, its body, one JSON answer.

Written against ASGI 3 itself, since these lines run on every request.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any, Protocol

import bentoml

from services.errors import InvalidInput, PayloadTooLarge

if TYPE_CHECKING:
    from services.known_head import KnownHead

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]
Header = tuple[bytes, bytes]

TIMEOUT_HEADER = "x-request-timeout"
"""Seconds that the sender of a request still waits for its answer."""

SHORTCUT = "tandem.shortcut"
"""Name of the scope's extension that is a `Shortcut`."""
_NO_EXTENSIONS: Mapping[str, Any] = {}
JSON: Header = (b"content-type", b"application/json")
_MOST_DIGITS = 18
"""Of a content length that is worth reading: Python refuses to read numbers of some thousand digits."""


class Shortcut(Protocol):
    """What the server under `services.http_protocol` does at once, past every layer between and without ASGI's messages."""

    known: KnownHead | None
    """The request's head, where it came before on the same connection."""

    def whole_body(self) -> bytes | None:
        """The request's body, once; None where it is not all there yet, or the client has left."""
        ...

    def answer(self, status: int, body: bytes, headers: Iterable[Header], told: bytes = b"") -> bool:
        """Answer in one write; False, with nothing written, where that is for the ordinary way to do. `told` are further headers as
        they go out, each with its line's end, which are not looked at.
        """
        ...

    def piece(self, body: bytes) -> bool:
        """Send one more piece of a body that has begun, without a task; False, with nothing written, as above."""
        ...


def shortcut_of(scope: Scope) -> Shortcut | None:
    """The short way round, where there is one."""
    shortcut: Shortcut | None = scope.get("extensions", _NO_EXTENSIONS).get(SHORTCUT)
    return shortcut


class HasFront(Protocol):
    """A BentoML service with an ASGI app of its own."""

    def front(self, fallback: ASGIApp) -> ASGIApp:
        """The app that sees every HTTP request first; it hands to `fallback`, BentoML's app, what is not its own."""
        ...


def use_front(service: Any) -> None:
    """Let the app of `service.front` see every request to a BentoML service before BentoML's router does."""
    service.add_asgi_middleware(FrontMiddleware)


class FrontMiddleware:
    """Puts a service's own app before BentoML's router.

    BentoML builds middleware before it has an instance of the service, hence the look-up at the first request.
    """

    def __init__(self, app: ASGIApp, *, first: bool = False) -> None:
        """`first` says that no other middleware has to see the answers."""
        self._bentoml_app = app
        self._first = first
        self._front: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "websocket":  # there is none behind this front, and BentoML's app would fail on it
                await send({"type": "websocket.close"})
            else:
                await self._bentoml_app(scope, receive, send)
            return
        if self._front is None:
            service: HasFront = bentoml.get_current_service()
            self._front = service.front(self._bentoml_app)
        if not self._first:
            scope.get("extensions", {}).pop(SHORTCUT, None)
        await self._front(scope, receive, send)


async def read_body(scope: Scope, receive: Receive, limit: int) -> bytes:
    """The whole body. Raises PayloadTooLarge past `limit` bytes, before reading where its length is announced."""
    shortcut = shortcut_of(scope)
    if shortcut is not None and (there := shortcut.whole_body()) is not None:
        return _within(there, limit)
    for name, value in scope["headers"]:
        if name == b"content-length" and _length(value) > limit:
            raise _too_large(limit)
    message = _arrived(await receive())
    body: bytes = message.get("body", b"")
    if not message.get("more_body"):
        return _within(body, limit)
    whole = bytearray(body)  # a list of tiny parts would take many times their size
    while message.get("more_body"):
        message = _arrived(await receive())
        whole += message.get("body", b"")
        if len(whole) > limit:
            raise _too_large(limit)
    return bytes(whole)


def _arrived(message: Message) -> Message:
    if message["type"] == "http.disconnect":
        raise InvalidInput("The client left before its request was complete.")
    return message


def _length(value: bytes) -> float:
    if not value.isdigit():
        raise InvalidInput("The header content-length is not a number.")
    return int(value) if len(value) <= _MOST_DIGITS else math.inf


def _within(body: bytes, limit: int) -> bytes:
    if len(body) > limit:
        raise _too_large(limit)
    return body


def _too_large(limit: int) -> PayloadTooLarge:
    return PayloadTooLarge(f"The request body is larger than {limit} bytes.")


async def answer(
    scope: Scope, send: Send, status: int, body: bytes, headers: Iterable[Header], told: bytes = b""
) -> None:
    """One whole answer, in one write where the server can: head and body in two cost the reader a second wake-up. `told` are
    further headers, as in `Shortcut.answer`.
    """
    shortcut = shortcut_of(scope)
    if shortcut is None or not shortcut.answer(status, body, headers, told):
        await send_bytes(send, status, body, (*headers_in(told), *headers))


def headers_in(told: bytes) -> list[Header]:
    """Headers as ASGI has them, of ones that are written out."""
    pairs = (line.partition(b": ") for line in told.splitlines())
    return [(name, value) for name, _, value in pairs]


async def send_bytes(send: Send, status: int, body: bytes, headers: Iterable[Header]) -> None:
    """One whole answer."""
    head = [(b"content-length", b"%d" % len(body)), *headers]
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": body})


async def send_json(send: Send, status: int, body: bytes, headers: Iterable[Header] = ()) -> None:
    """One whole answer of JSON bytes."""
    await send_bytes(send, status, body, (JSON, *headers))
