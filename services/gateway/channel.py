"""The end of a channel that reads; see `services/channel.py`."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
from typing import TYPE_CHECKING

from services.channel import CHANNEL_HEADER, CHANNEL_PATH, HEAD_SIZE, frames_in

if TYPE_CHECKING:
    from collections.abc import Mapping

    from services.gateway.hop import ConnectionPool
    from services.gateway.streamed import StreamedAnswer

logger = logging.getLogger("tandem.gateway")

_AGAIN_SECONDS = 1.0
"""Between two attempts to open it."""
_LONG_SECONDS = 86_400.0
"""Of silence, after which it is opened anew."""
_OK = 200
_NONE: Mapping[str, str] = {}


class Channel:
    """To one dependency, opened when a first stream could take it."""

    def __init__(self, pool: ConnectionPool) -> None:
        """`pool` makes its connection."""
        self._pool = pool
        self._name = ""
        self._numbers = itertools.count(1)
        self._seats: dict[int, Seat] = {}
        self._rest = b""
        self._task: asyncio.Task[None] | None = None
        self._tried = -_AGAIN_SECONDS

    def seat(self) -> Seat:
        """A place for one more stream, which takes its own connection alone as long as the channel is not open."""
        if not self._name:
            self._begin()
        number = next(self._numbers)
        seat = Seat(self._seats, number, {CHANNEL_HEADER: f"{self._name}/{number}"} if self._name else _NONE)
        if self._name:
            self._seats[number] = seat
        return seat

    async def close(self) -> None:
        """Hold it open no longer."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    def _begin(self) -> None:
        now = asyncio.get_running_loop().time()
        if (self._task is None or self._task.done()) and now - self._tried >= _AGAIN_SECONDS:
            self._tried = now
            self._task = asyncio.create_task(self._hold())

    async def _hold(self) -> None:
        """Open it, and hand each piece to its stream until it ends."""
        try:
            connection, answer = await self._pool.stream(
                "GET", CHANNEL_PATH, {}, b"", idle_timeout=_LONG_SECONDS, fresh=True
            )
        except OSError:  # nobody is there: streams find that out for themselves
            return
        self._rest = b""
        try:
            if answer.status == _OK:
                answer.offer_to(self._take)
                self._name = answer.headers.get(CHANNEL_HEADER, "")
                async for data in answer.iter_any():
                    self._take(data)
        except OSError:
            logger.debug("A channel was lost")
        finally:
            self._name = ""
            self._pool.leave(connection)
            lost, self._seats = self._seats, {}
            for seat in lost.values():
                if seat.answer is not None:
                    seat.answer.lose_channel()

    def _take(self, data: bytes) -> bool:
        data = self._rest + data
        at = 0
        for number, piece in frames_in(data):
            at += HEAD_SIZE + len(piece)
            seat = self._seats.get(number)
            if seat is not None and seat.answer is not None:
                seat.answer.take(piece)
        self._rest = data[at:]
        return True


class Seat:
    """One stream's place on a channel."""

    __slots__ = ("_number", "_seats", "answer", "headers")

    def __init__(self, seats: dict[int, Seat], number: int, headers: Mapping[str, str]) -> None:
        self._seats = seats
        self._number = number
        self.headers = headers
        """What the request says of it."""
        self.answer: StreamedAnswer | None = None

    def take(self, answer: StreamedAnswer) -> None:
        """Sit down: it is `answer` that takes the pieces."""
        self.answer = answer

    def leave(self) -> None:
        """Nobody waits for a piece any more."""
        self._seats.pop(self._number, None)
