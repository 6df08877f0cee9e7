"""A streaming client that costs little itself: one asyncio protocol a stream, time stamps a chunk, no JSON decoding.

The load generator shares the machine with the servers, so it does the same few things for each of them: parse HTTP
with httptools, split server-sent events, look at the clock. Every stream has a connection of its own.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

import httptools

if TYPE_CHECKING:
    from collections.abc import Callable

_TOKENS = re.compile(rb'"completion_tokens":\s*(\d+)')
_LOOK_SECONDS = 1.0
_OK = 200


@dataclass
class Stream:
    """What one stream was like; times are `time.perf_counter()`."""

    started: float = 0.0
    status: int = 0
    stamps: list[float] = field(default_factory=list)
    """Arrival of every chunk with content; the opening chunk that only names the role is not one."""
    tokens: int | None = None
    longest_gap: float = 0.0
    """Longest time without one byte, from the request on, in seconds."""
    failure: str | None = None
    """Why it is lost, or None when it came to its proper end."""

    @property
    def first_token(self) -> float | None:
        """Seconds from the request to the first content."""
        return self.stamps[0] - self.started if self.stamps else None

    @property
    def gaps(self) -> list[float]:
        """Seconds between chunks."""
        return [later - earlier for earlier, later in zip(self.stamps, self.stamps[1:], strict=False)]


class StreamProtocol(asyncio.Protocol):
    """Sends one request and takes in its stream."""

    def __init__(self, request: bytes) -> None:
        self.stream = Stream()
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.last = 0.0
        self._request = request
        self._parser = httptools.HttpResponseParser(self)
        self._rest = b""
        self._ended = False
        self._now = 0.0
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclasses of asyncio's.
        self._transport = cast("asyncio.Transport", transport)
        self.stream.started = self.last = time.perf_counter()
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        now = self._now = time.perf_counter()
        self.stream.longest_gap = max(self.stream.longest_gap, now - self.last)
        self.last = now
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self.finish(f"not HTTP: {error}")

    def on_headers_complete(self) -> None:
        self.stream.status = self._parser.get_status_code()

    def on_body(self, body: bytes) -> None:
        *events, self._rest = (self._rest + body).split(b"\n\n")
        if self.stream.status == _OK:
            for event in events:
                self._take(event)

    def on_message_complete(self) -> None:
        if self.stream.status != _OK:
            self.finish(f"status {self.stream.status}: {self._rest[:200].decode(errors='replace')}")
        else:
            self.finish(None if self._ended else "it ended without [DONE]")

    def connection_lost(self, exc: Exception | None) -> None:
        self.finish(f"the connection was lost: {exc}")

    def finish(self, failure: str | None) -> None:
        """End the stream, once."""
        if not self.done.done():
            self.stream.failure = self.stream.failure or failure
            self.done.set_result(None)
            if self._transport is not None:
                self._transport.close()

    def _take(self, event: bytes) -> None:
        if not event.startswith(b"data:"):
            return
        if event.startswith(b"data: [DONE]"):
            self._ended = True
        elif event.startswith(b'data: {"error"'):
            self.stream.failure = event[6:206].decode(errors="replace")
        elif b'"choices":[]' in event:
            if found := _TOKENS.search(event):
                self.stream.tokens = int(found[1])
        elif self.stream.stamps or b'"role":"assistant"' not in event:
            self.stream.stamps.append(self._now)


def chat_request(port: int, model: str, number: int, tokens: int) -> bytes:
    """The bytes of a streaming chat request for exactly `tokens` tokens; `number` makes its prompt unlike others."""
    payload = {
        "model": model,
        "messages": [{"role": "user", "content": f"{number}. Say something about flowers."}],
        "max_tokens": tokens,
        "ignore_eos": True,
        "temperature": 0,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    body = json.dumps(payload).encode()
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
        f"Accept: text/event-stream\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def stream(port: int, request: bytes, give_up: float = 60.0) -> Stream:
    """One stream, start to end; lost when no byte comes for `give_up` seconds."""
    loop = asyncio.get_running_loop()
    try:
        _, protocol = await loop.create_connection(lambda: StreamProtocol(request), "127.0.0.1", port)
    except OSError as error:
        return Stream(started=time.perf_counter(), failure=f"no connection: {error}")
    while not protocol.done.done():
        await asyncio.wait({protocol.done}, timeout=_LOOK_SECONDS)
        silent = time.perf_counter() - protocol.last
        if silent > give_up and not protocol.done.done():
            protocol.stream.longest_gap = max(protocol.stream.longest_gap, silent)
            protocol.finish(f"no byte for {give_up:.0f} s")
    return protocol.stream


async def keep_streaming(
    port: int, request: Callable[[int], bytes], at_once: int, more: Callable[[int], bool], give_up: float = 60.0
) -> list[Stream]:
    """Keep `at_once` streams going while `more(number)` of the next one says so; then let them end."""
    streams: list[Stream] = []
    number = 0

    async def slot() -> None:
        nonlocal number
        while more(number):
            number += 1
            streams.append(await stream(port, request(number), give_up))

    await asyncio.gather(*(slot() for _ in range(at_once)))
    return streams
