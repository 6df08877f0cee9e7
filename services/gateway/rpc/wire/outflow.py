"""What may go out on one connection, and which calls wait to send more."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from services.gateway.rpc.wire import frames
from services.gateway.rpc.wire.frames import (
    DEFAULT_FRAME,
    DEFAULT_WINDOW,
    ENHANCE_YOUR_CALM,
    FLOW_CONTROL_ERROR,
    FRAME_SIZE_ERROR,
    LARGEST_FRAME,
    LARGEST_WINDOW,
    PROTOCOL_ERROR,
    SETTING,
    ViolationError,
)

if TYPE_CHECKING:
    import asyncio

    from services.gateway.rpc.wire.outbox import Outbox

_MOST_UNREAD = 2**20
"""Bytes that may wait for a peer who asks for still more and reads nothing."""
_LARGEST_WRITE = 2**17


class Outflow:
    """The sending side of a connection."""

    __slots__ = ("_blocked", "_starved", "_transport", "first_window", "held", "largest_frame", "window", "write")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._blocked: OrderedDict[int, Outbox] = OrderedDict()
        self._starved: dict[int, Outbox] = {}
        self.write = transport.write
        self.window = DEFAULT_WINDOW
        """Bytes of messages that the peer still takes, of all calls together."""
        self.first_window = DEFAULT_WINDOW
        """The same of each call, beside what it was granted and has sent."""
        self.largest_frame = DEFAULT_FRAME
        self.held = False
        """Whether the socket takes no more for now."""

    def block(self, outbox: Outbox, *, starved: bool) -> None:
        """`outbox` has more to send than may go out: it is pumped when that changes. `starved` is whether the caller takes no
        more of its own call; else all calls together have sent what the peer takes.
        """
        if starved:
            self._starved[outbox.id] = outbox
        else:
            self._blocked[outbox.id] = outbox

    def unblock(self, outbox: Outbox) -> None:
        """`outbox` sends no more."""
        self._blocked.pop(outbox.id, None)
        self._starved.pop(outbox.id, None)

    def pump(self) -> None:
        """Send what may go out now: the call that has waited longest first, and none is looked at in vain."""
        while self._blocked and self.window > 0 and not self.held:
            _, outbox = self._blocked.popitem(last=False)
            outbox.pump()

    def release(self) -> None:
        """The socket takes more again."""
        self.held = False
        self.pump()

    def answer(self, data: bytes) -> None:
        """Send what a peer may ask for without end. Raises ViolationError for one that does, and reads none of it."""
        if self._transport.get_write_buffer_size() > _MOST_UNREAD:
            raise ViolationError(ENHANCE_YOUR_CALM, "answers are not read")
        self.write(data)

    def widen(self, size: int) -> None:
        """The peer takes `size` more bytes. Raises ViolationError."""
        self.window += size
        if self.window > LARGEST_WINDOW:
            raise ViolationError(FLOW_CONTROL_ERROR, "a window is too large")
        self.pump()

    def settle(self, settings: bytes) -> None:
        """Follow the peer's SETTINGS. Raises ViolationError."""
        if len(settings) % SETTING.size:
            raise ViolationError(FRAME_SIZE_ERROR, "settings of a wrong size")
        for name, value in SETTING.iter_unpack(settings):
            if name == frames.INITIAL_WINDOW_SIZE:
                if value > LARGEST_WINDOW:
                    raise ViolationError(FLOW_CONTROL_ERROR, "a window is too large")
                self.first_window = value
            elif name == frames.MAX_FRAME_SIZE:
                if not DEFAULT_FRAME <= value <= LARGEST_FRAME:
                    raise ViolationError(PROTOCOL_ERROR, "an impossible frame size")
                self.largest_frame = min(value, _LARGEST_WRITE)
        starved, self._starved = self._starved, {}
        for outbox in starved.values():
            outbox.pump()
