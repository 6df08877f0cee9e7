"""What goes out for one call: messages, as fast as the caller takes them, and the status at the end."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from urllib.parse import quote

import grpc

from services.gateway.rpc.wire.frames import (
    DATA,
    END_HEADERS,
    END_STREAM,
    HEAD,
    HEADERS,
    LARGEST_WINDOW,
    fields,
    frame,
)
from services.gateway.rpc.wire.inbox import PREFIX

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from services.gateway.rpc.wire.outflow import Outflow

    Trailers = Iterable[tuple[str, str]]

_HEAD = b"\x88" + fields([(b"content-type", b"application/grpc")])  # 0x88 is `:status: 200` in HPACK's fixed table
_END = fields([(b"grpc-status", b"0")])
_HEAD_START = HEAD.pack(0, len(_HEAD), HEADERS, END_HEADERS, 0)[:-4]
_END_START = HEAD.pack(0, len(_END), HEADERS, END_HEADERS | END_STREAM, 0)[:-4]
_PLAIN = "".join(map(chr, range(0x20, 0x7F))).replace("%", "")
"""What a status message may hold as it is."""


class Outbox:
    """The sending side of a call."""

    __slots__ = ("_done", "_drained", "_finish", "_flow", "_granted", "_pending", "_seen", "_started", "ended", "id")

    def __init__(self, flow: Outflow, stream_id: int, done: Callable[[], None]) -> None:
        """`done` is called when the end is out."""
        self.id = stream_id
        self.ended = False
        """Whether it is decided how the call went: nothing that comes after is sent."""
        self._flow = flow
        self._done = done
        self._granted = 0
        self._started = False
        self._pending = bytearray()
        self._seen: tuple[int, int] | None = None
        self._finish: bytes | None = None
        self._drained: asyncio.Future[None] | None = None

    @property
    def window(self) -> int:
        """Bytes of messages that the caller still takes; fewer than none when it changed its mind."""
        return self._flow.first_window + self._granted

    def respond(self, message: bytes) -> None:
        """The one message, and that the call went well: nearly always in one write."""
        size = PREFIX.size + len(message)
        flow = self._flow
        if self.ended or size > self.window or size > flow.window or size > flow.largest_frame or flow.held:
            self.put(message)
            self.end(grpc.StatusCode.OK)
            return
        flow.window -= size
        self._granted -= size
        own = self.id.to_bytes(4, "big")
        head = HEAD.pack(size >> 8, size & 0xFF, DATA, 0, self.id)
        prefix = PREFIX.pack(0, len(message))
        flow.write(b"".join((_HEAD_START, own, _HEAD, head, prefix, message, _END_START, own, _END)))
        self.ended = True
        self._close()

    def put(self, message: bytes) -> None:
        """Send a message as soon as it may go out."""
        if self.ended:
            return
        if not self._started:
            self._started = True
            self._flow.write(frame(HEADERS, END_HEADERS, self.id, _HEAD))
        self._pending += PREFIX.pack(0, len(message)) + message
        self.pump()

    async def drained(self) -> None:
        """Wait until all messages are out."""
        if self._pending:
            self._drained = asyncio.get_running_loop().create_future()
            await self._drained

    def is_stuck(self) -> bool:
        """Whether messages wait and nothing has moved since the last time this was asked."""
        before, self._seen = self._seen, (len(self._pending), self._granted) if self._pending else None
        return self._seen is not None and self._seen == before

    def end(self, status: grpc.StatusCode, message: str = "", trailers: Trailers = ()) -> None:
        """Say how the call went: after all messages when it went well, else at once."""
        if self.ended:
            return
        self.ended = True
        pairs = [(b"grpc-status", b"%d" % status.value[0])]
        if message:
            pairs.append((b"grpc-message", quote(message, safe=_PLAIN).encode()))
        pairs += [(name.lower().encode(), value.encode("latin-1")) for name, value in trailers]
        block = fields(pairs) if self._started else _HEAD + fields(pairs)
        self._finish = frame(HEADERS, END_HEADERS | END_STREAM, self.id, block)
        if status is not grpc.StatusCode.OK:
            self._pending.clear()
        self.pump()

    def drop(self) -> None:
        """Nobody listens any more."""
        self.ended = True
        self._finish = None
        self._done = _nothing
        self._pending.clear()
        self._flow.unblock(self)

    def widen(self, size: int) -> bool:
        """The caller takes `size` more bytes; False when that is more than HTTP/2 knows."""
        self._granted += size
        if self.window > LARGEST_WINDOW:
            return False
        self.pump()
        return True

    def pump(self) -> None:
        """Send as much as may go out."""
        flow, pending = self._flow, self._pending
        while pending and not flow.held:
            size = min(len(pending), self.window, flow.window, flow.largest_frame)
            if size <= 0:
                break
            flow.write(frame(DATA, 0, self.id, bytes(pending[:size])))
            del pending[:size]
            self._granted -= size
            flow.window -= size
        if pending:
            flow.block(self, starved=self.window <= 0)
            return
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)
        if self._finish is not None:
            flow.write(self._finish)
            self._finish = None
            self._close()

    def _close(self) -> None:
        done, self._done = self._done, _nothing  # no cycle is left for the garbage collector
        done()


def _nothing() -> None:
    """What happens when all is done."""
