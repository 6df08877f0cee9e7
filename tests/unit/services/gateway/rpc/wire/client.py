"""The client's side of one connection, over a transport that keeps what is written, and calls that do what a test says."""

from __future__ import annotations

import asyncio
import struct
from typing import Any, cast

import grpc
import hpack

from services.gateway.rpc.wire import frames
from services.gateway.rpc.wire.connection import Connection
from services.gateway.rpc.wire.frames import END_HEADERS, END_STREAM, PREFACE, fields, frame
from services.gateway.rpc.wire.stream import WINDOW, Method, Stream

Frame = tuple[int, int, int, bytes]
HELLO = PREFACE + frames.settings({})
CALL = [(b":method", b"POST"), (b":scheme", b"http"), (b"content-type", b"application/grpc")]
LIMIT = 3 * WINDOW
NUMBER = struct.Struct(">I")


class FakeSocket:
    def setsockopt(self, *_: int) -> None:
        pass


class FakeTransport:
    def __init__(self) -> None:
        self.written = bytearray()
        self.unread = 0
        self.ended = ""
        """How it ended; empty while it lives."""

    def write(self, data: bytes) -> None:
        assert not self.ended
        self.written += data

    def get_write_buffer_size(self) -> int:
        return self.unread

    def get_extra_info(self, name: str) -> Any:
        return {"peername": ("10.0.0.7", 50312), "socket": FakeSocket()}[name]

    def is_closing(self) -> bool:
        return bool(self.ended)

    def close(self) -> None:
        self.ended = "closed"

    def abort(self) -> None:
        self.ended = "aborted"


class Client:
    """The other side of one connection."""

    def __init__(self, greeting: bytes = HELLO) -> None:
        self.transport = FakeTransport()
        self.open: set[Connection] = set()
        self.running: list[Stream] = []
        self.cancelled = 0
        self.go = asyncio.Event()
        self.requests: list[bytes] = []
        methods = {
            b"/echo": Method(self._echo),
            b"/wait": Method(self._wait),
            b"/large": Method(self._large),
            b"/each": Method(self._each, takes_stream=True),
        }
        self.server = Connection(methods, LIMIT, self.open)
        self.server.connection_made(cast("asyncio.Transport", self.transport))
        self._decoder = hpack.Decoder()
        self.say(greeting)
        self.heard()

    def say(self, *data: bytes) -> None:
        self.server.data_received(b"".join(data))

    def call(self, stream: int, path: bytes, *messages: bytes, ends: bool = True, **headers: bytes) -> None:
        given = [(name.replace("_", "-").encode(), value) for name, value in headers.items()]
        block = fields([*CALL[:2], (b":path", path), *CALL[2:], *given])
        self.say(frame(frames.HEADERS, END_HEADERS, stream, block))
        self.say(frame(frames.DATA, END_STREAM if ends else 0, stream, b"".join(map(framed, messages))))

    def heard(self) -> list[Frame]:
        """The frames since the last call."""
        data, found = bytes(self.transport.written), []
        self.transport.written.clear()
        while data:
            upper, lower, kind, flags, stream = frames.HEAD.unpack_from(data)
            end = frames.HEAD.size + (upper << 8 | lower)
            found.append((kind, flags, stream, data[frames.HEAD.size : end]))
            data = data[end:]
        return found

    def answers(self, heard: list[Frame] | None = None) -> dict[int, tuple[bytes, dict[bytes, bytes]]]:
        """Messages, with what frames them, and fields of each stream."""
        found: dict[int, tuple[bytes, dict[bytes, bytes]]] = {}
        for kind, _, stream, payload in self.heard() if heard is None else heard:
            data, told = found.get(stream, (b"", {}))
            if kind == frames.DATA:
                found[stream] = data + payload, told
            elif kind == frames.HEADERS:
                found[stream] = data, told | dict(self._decoder.decode(payload, raw=True))
        return found

    async def settled(self) -> None:
        for _ in range(6):
            await asyncio.sleep(0)

    async def _echo(self, stream: Stream) -> None:
        stream.respond(stream.request())

    async def _wait(self, stream: Stream) -> None:
        self.running.append(stream)
        try:
            await self.go.wait()
            stream.respond(b"waited")
        except asyncio.CancelledError:
            self.cancelled += 1
            raise

    async def _large(self, stream: Stream) -> None:
        for _ in range(3):
            await stream.send(b"x" * 50_000)
        stream.end(grpc.StatusCode.OK, trailers=[("X-Left", "7")])

    async def _each(self, stream: Stream) -> None:
        async for message in stream.requests():
            self.requests.append(message)
            await self.go.wait()
        stream.end(grpc.StatusCode.DATA_LOSS, "50 % gone: é")


def framed(message: bytes) -> bytes:
    return struct.pack(">BI", 0, len(message)) + message


def went_away(heard: list[Frame]) -> int | None:
    """The error code of a GOAWAY."""
    return next((NUMBER.unpack_from(payload, 4)[0] for kind, _, _, payload in heard if kind == frames.GOAWAY), None)


def resets(heard: list[Frame]) -> dict[int, int]:
    return {stream: NUMBER.unpack(payload)[0] for kind, _, stream, payload in heard if kind == frames.RST_STREAM}
