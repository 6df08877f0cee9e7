"""One client's HTTP/2 connection, without TLS: its frames, and a `Stream` for every call.

In Python, and yet a fraction of what gRPC's own server costs from Python (docs/performance.md): a call with one small message
each way is one read, one task and one write.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from typing import TYPE_CHECKING, cast

from services.gateway.rpc.wire import frames
from services.gateway.rpc.wire.frames import (
    END_HEADERS,
    END_STREAM,
    ENHANCE_YOUR_CALM,
    HEADERS,
    NO_ERROR,
    PROTOCOL_ERROR,
    SETTINGS,
    ViolationError,
    number,
    unpadded,
)
from services.gateway.rpc.wire.heads import LONGEST_LIST, HeadReader, MalformedError
from services.gateway.rpc.wire.outflow import Outflow
from services.gateway.rpc.wire.reader import LARGEST_READ, FrameReader
from services.gateway.rpc.wire.stream import WINDOW, Stream

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from services.gateway.rpc.wire.stream import Method

MOST_STREAMS = 1024
"""Calls under way on one connection."""
MOST_ABANDONED = 4 * MOST_STREAMS
"""Calls that may be given up in a row, with none answered between: who opens and resets without end is no client."""

LOOK_SECONDS = 15.0
"""Time between two looks at a connection."""
LINGER_SECONDS = 5.0
"""Time that a client has to read why its connection ends."""
_SLOWEST = 512
"""Bytes a second that what has begun must bring from one look to the next."""
_MOST_SETTINGS = 1000
"""SETTINGS from one look to the next: each may free a little of every call's answer."""
_CONNECTION_WINDOW = 16 * WINDOW
_PING_SIZE = 8
_SETTINGS = frames.settings(
    {
        frames.MAX_CONCURRENT_STREAMS: MOST_STREAMS,
        frames.INITIAL_WINDOW_SIZE: WINDOW,
        frames.MAX_FRAME_SIZE: LARGEST_READ,
        frames.MAX_HEADER_LIST_SIZE: LONGEST_LIST,
    }
) + frames.window_update(0, _CONNECTION_WINDOW - frames.DEFAULT_WINDOW)
_REFUSALS = {
    b"200": frames.refusal(12, b"Method not found!"),
    b"431": frames.refusal(8, b"The metadata is larger than %d bytes." % LONGEST_LIST),
}
"""What is said to a call that is none of ours, by the status of its head; another status is said as it is."""
logger = logging.getLogger("tandem.gateway")


class Connection(asyncio.Protocol):
    """Speaks HTTP/2 with one client."""

    def __init__(self, methods: Mapping[bytes, Method], limit: int, connections: set[Connection]) -> None:
        """`methods` are found by path; `limit` is the size of the largest message; `connections` knows who is open."""
        self.limit = limit
        self.host: str | None = None
        self.flow: Outflow
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._methods = methods
        self._connections = connections
        self._transport: asyncio.Transport
        self._leaving = False
        self._reader = FrameReader()
        self._heads = HeadReader()
        self._handlers: dict[int, Callable[[int, int, bytes], None]] = {
            frames.DATA: self._data,
            HEADERS: self._head,
            SETTINGS: self._settings,
            frames.WINDOW_UPDATE: self._window_update,
            frames.PING: self._ping,
            frames.RST_STREAM: self._reset,
        }
        self._streams: dict[int, Stream] = {}
        self._last = self._owed = self._abandoned = 0
        self._received = self._received_by_then = self._settled = 0
        self._was_within = True
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self.flow = Outflow(self._transport)
        peer = transport.get_extra_info("peername")
        self.host = peer[0] if isinstance(peer, tuple) else None
        # Of a machine that vanished nothing is heard, and its calls would never end.
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self._connections.add(self)
        self.flow.write(_SETTINGS)
        self._timer = asyncio.get_running_loop().call_later(LOOK_SECONDS, self._look)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - why is of no matter
        self._connections.discard(self)
        self._stop_timer()
        self._abandoned = 0
        for stream in tuple(self._streams.values()):
            stream.abandon()
        if not self.closed.done():
            self.closed.set_result(None)

    def data_received(self, data: bytes) -> None:
        handlers = self._handlers
        self._received += len(data)
        try:
            for kind, flags, stream_id, payload in self._reader.feed(data):
                handler = handlers.get(kind)
                if handler is not None:  # what is not known is to be ignored
                    handler(flags, stream_id, payload)
        except ViolationError as violation:
            self._fail(violation.code, violation.reason)
        except Exception:
            logger.exception("A gRPC connection failed")
            self._fail(frames.INTERNAL_ERROR, "")

    def pause_writing(self) -> None:
        self.flow.held = True

    def resume_writing(self) -> None:
        self.flow.release()

    def leave(self) -> None:
        """Take no more calls, and close when those under way are over."""
        if not self._leaving:
            self._leaving = True
            self.flow.write(frames.go_away(self._last, NO_ERROR))
        self._close_when_done()

    def abort(self) -> None:
        """Close now."""
        self._transport.abort()

    def forget(self, stream: Stream, *, answered: bool) -> None:
        self._streams.pop(stream.id, None)
        self._abandoned = 0 if answered else self._abandoned + 1
        if self._abandoned > MOST_ABANDONED:
            raise ViolationError(ENHANCE_YOUR_CALM, "calls are opened only to be given up")
        if self._leaving:
            self._close_when_done()

    def _data(self, flags: int, stream_id: int, payload: bytes) -> None:
        size = len(payload)
        self._owed += size
        if self._owed >= _CONNECTION_WINDOW // 2:
            self.flow.write(frames.window_update(0, self._owed))
            self._owed = 0
        if stream := self._opened(stream_id):
            stream.feed(unpadded(payload) if flags & frames.PADDED else payload, size, ends=bool(flags & END_STREAM))

    def _head(self, flags: int, stream_id: int, block: bytes) -> None:
        ends = bool(flags & END_STREAM)
        if not stream_id & 1:
            raise ViolationError(PROTOCOL_ERROR, "streams of clients have odd numbers")
        if stream_id <= self._last:  # trailers
            self._heads.decoded(block)
            if stream := self._streams.get(stream_id):
                stream.close_remote()
            return
        self._last = stream_id
        try:
            head = self._heads.read(block)
        except MalformedError:
            self.flow.answer(frames.reset(stream_id, PROTOCOL_ERROR))
            return
        method = self._methods.get(head.path)
        if self._leaving or len(self._streams) >= MOST_STREAMS:
            self.flow.answer(frames.reset(stream_id, frames.REFUSED_STREAM))
        elif head.status != b"200" or method is None:
            block = _REFUSALS.get(head.status) or frames.fields([(b":status", head.status)])
            rest = b"" if ends else frames.reset(stream_id, NO_ERROR)
            self.flow.answer(frames.frame(HEADERS, END_HEADERS | END_STREAM, stream_id, block) + rest)
        else:
            stream = self._streams[stream_id] = Stream(self, stream_id, head, method)
            if ends:
                stream.close_remote()

    def _settings(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id:
            raise ViolationError(PROTOCOL_ERROR, "settings of a stream")
        if not flags & frames.ACK:
            self._settled += 1
            if self._settled > _MOST_SETTINGS:
                raise ViolationError(ENHANCE_YOUR_CALM, "settings change too often")
            self.flow.settle(payload)
            self.flow.answer(frames.frame(SETTINGS, frames.ACK, 0))

    def _ping(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id or len(payload) != _PING_SIZE:
            raise ViolationError(frames.FRAME_SIZE_ERROR, "a ping of a wrong size, or of a stream")
        if not flags & frames.ACK:
            self.flow.answer(frames.frame(frames.PING, frames.ACK, 0, payload))

    def _window_update(self, _: int, stream_id: int, payload: bytes) -> None:
        size = number(payload) & frames.LARGEST_WINDOW
        if not size:
            raise ViolationError(PROTOCOL_ERROR, "a window grows by nothing")
        if not stream_id:
            self.flow.widen(size)
        elif (stream := self._opened(stream_id)) and not stream.outbox.widen(size):
            stream.break_off(frames.FLOW_CONTROL_ERROR)

    def _reset(self, _: int, stream_id: int, payload: bytes) -> None:
        number(payload)
        if stream := self._opened(stream_id):
            stream.abandon()

    def _opened(self, stream_id: int) -> Stream | None:
        """The stream of a frame; None when it is over. Raises ViolationError when it never began."""
        stream = self._streams.get(stream_id)
        if stream is None and (not stream_id & 1 or stream_id > self._last):
            raise ViolationError(PROTOCOL_ERROR, "a frame of a stream that was never opened")
        return stream

    def _look(self) -> None:
        """Give up what the client began and does not go on with: a frame, or the request of a call that needs the whole."""
        least = round(_SLOWEST * LOOK_SECONDS)
        slow = self._received - self._received_by_then < least
        if slow and self._was_within and self._reader.is_within:
            self._fail(ENHANCE_YOUR_CALM, "this is too slow")
            return
        self._received_by_then, self._was_within = self._received, self._reader.is_within
        self._settled = 0
        try:
            for stream in tuple(self._streams.values()):
                stream.look(least)
        except ViolationError as violation:
            self._fail(violation.code, violation.reason)
        else:
            self._timer = asyncio.get_running_loop().call_later(LOOK_SECONDS, self._look)

    def _fail(self, code: int, reason: str) -> None:
        if not self._transport.is_closing():
            self.flow.write(frames.go_away(self._last, code, reason))
            self._transport.close()
            self._stop_timer()  # one that reads nothing would never let go
            self._timer = asyncio.get_running_loop().call_later(LINGER_SECONDS, self._transport.abort)

    def _close_when_done(self) -> None:
        if not self._streams and not self._transport.is_closing():
            self._transport.close()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
