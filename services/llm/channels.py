"""The channels that gateways hold open to this process, and the streams that go over them; see `services/channel.py`."""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING

from services.asgi import send_bytes
from services.channel import CHANNEL_HEADER, TAKEN, frame

if TYPE_CHECKING:
    from services.asgi import Message, Receive, Scope, Send

_HEADER = CHANNEL_HEADER.encode()
_MOST_OF_ONE = 2**18
"""Bytes of one stream that go over a channel; the rest takes its own connection, which waits for a client that is slow to read."""
_MOST_DIGITS = 9
"""Of a stream's number, which must fit a frame."""
_MOST_WAITING = 2**20
"""Bytes that wait to be sent, with which a channel takes no more."""


class Channel:
    """One channel, at the end that writes."""

    def __init__(self) -> None:
        self._frames: list[bytes] = []
        self._size = 0
        self._due = asyncio.Event()
        self.streams: set[int] = set()
        """Numbers of those that take it now."""
        self.closing = False
        """Whether no other stream may take it, and it ends with the last."""
        self.lost = False
        """Whether nothing is carried any more."""

    def put(self, number: int, piece: bytes) -> bool:
        """Send a piece once all tasks that are ready have had their turn; False, with nothing sent, when nobody reads any more or too
        much waits already.
        """
        if self.lost or self._size > _MOST_WAITING:
            return False
        self._frames.append(frame(number, piece))
        self._size += len(piece)
        self._due.set()
        return True

    def leave(self, number: int) -> None:
        """No more of a stream comes over the channel."""
        self.streams.discard(number)
        self._frames.append(frame(number, b""))
        self._due.set()

    def close(self) -> None:
        """End with the last stream."""
        self.closing = True
        self._due.set()

    async def carry(self, send: Send) -> None:
        """Send what there is, as a body."""
        while self._frames or self.streams or not self.closing:
            await self._due.wait()
            self._due.clear()
            body = b"".join(self._frames)
            self._frames.clear()
            self._size = 0
            if body:
                await send({"type": "http.response.body", "body": body, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


class Channels:
    """Those of all gateways, by name."""

    def __init__(self) -> None:
        self._open: dict[str, Channel] = {}
        self._closing = False

    async def serve(self, receive: Receive, send: Send) -> None:
        """Answer a gateway that opens a channel, for as long as it holds it open."""
        if self._closing:
            await send_bytes(send, 503, b"", ())
            return
        name = secrets.token_hex(8)
        channel = self._open[name] = Channel()
        head = [(_HEADER, name.encode()), (b"content-type", b"application/octet-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": head})
        carrying = asyncio.ensure_future(channel.carry(send))
        leaving = asyncio.ensure_future(_left(receive))
        try:
            await asyncio.wait((carrying, leaving), return_when=asyncio.FIRST_COMPLETED)
        finally:
            del self._open[name]
            channel.closing = channel.lost = True
            carrying.cancel()
            leaving.cancel()
            await asyncio.gather(carrying, leaving, return_exceptions=True)

    def close(self) -> None:
        """Open no more, and end each with its last stream."""
        self._closing = True
        for channel in self._open.values():
            channel.close()

    def sender(self, scope: Scope, send: Send) -> Sender:
        """What sends the answer to a request: over the channel that it names, where that can be."""
        named = next((value for name, value in scope["headers"] if name == _HEADER), b"").decode("latin-1")
        name, _, number = named.partition("/")
        channel = self._open.get(name)
        if channel is None or channel.closing or not number.isdecimal() or len(number) > _MOST_DIGITS:
            return Sender(send)
        return Sender(send, channel, int(number))


class Sender:
    """ASGI's `send` of one answer, whose pieces go over a channel if it is a stream of events."""

    def __init__(self, send: Send, channel: Channel | None = None, number: int = 0) -> None:
        self._send = send
        self._channel = channel
        self._number = number
        self._room = _MOST_OF_ONE
        self._takes_channel = False
        self.started = False
        """Whether the answer's head is out."""

    async def __call__(self, message: Message) -> None:
        channel = self._channel
        if not self.started:
            self.started = True
            if channel is not None and not channel.closing and _is_stream(message):
                self._takes_channel = True
                channel.streams.add(self._number)
                message = {**message, "headers": [*message["headers"], (_HEADER, TAKEN.encode())]}
        elif self._takes_channel and channel is not None:
            body: bytes = message.get("body", b"")
            if body and len(body) <= self._room and channel.put(self._number, body):
                self._room -= len(body)
                message = {**message, "body": b""}
            elif body:
                self.leave()
            if message.get("more_body") and not message.get("body"):
                return
            self.leave()
        await self._send(message)

    def leave(self) -> None:
        """What is still to come takes the answer's own connection."""
        if self._takes_channel and self._channel is not None:
            self._takes_channel = False
            self._channel.leave(self._number)


def _is_stream(message: Message) -> bool:
    return message["status"] == 200 and any(  # noqa: PLR2004 - HTTP's own
        name == b"content-type" and value.startswith(b"text/event-stream") for name, value in message["headers"]
    )


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
