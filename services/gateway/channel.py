"""The end of a channel that reads; see `services/channel.py`."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
from contextvars import Context
from typing import TYPE_CHECKING

from services.channel import CHANNEL_HEADER, CHANNEL_PATH, HEAD_SIZE, frames_in
from services.gateway.streamed import ConnectionLost

if TYPE_CHECKING:
    from collections.abc import Mapping

    from services.gateway.hop import ConnectionPool
    from services.gateway.streamed import StreamedAnswer

logger = logging.getLogger("tandem.gateway")

_AGAIN_SECONDS = 1.0
"""Between two attempts to open it."""
_LONG_SECONDS = 86_400.0
"""Of silence, after which it is closed; the next stream opens it anew."""
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
            self._task = asyncio.create_task(self._hold(), context=Context())  # it works for nobody in particular

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
                seat.lose()

    def _take(self, data: bytes) -> bool:
        data = self._rest + data
        at = 0
        for number, piece in frames_in(data):
            at += HEAD_SIZE + len(piece)
            seat = self._seats.get(number)
            if seat is not None:
                seat.pass_on(piece)
        self._rest = data[at:]
        return True


class Seat:
    """One stream's place on a channel."""

    __slots__ = ("_answer", "_lost", "_number", "_seats", "headers")

    def __init__(self, seats: dict[int, Seat], number: int, headers: Mapping[str, str]) -> None:
        self._seats = seats
        self._number = number
        self.headers = headers
        """What the request says of it."""
        self._answer: StreamedAnswer | None = None
        self._lost = False

    def take(self, answer: StreamedAnswer) -> None:
        """Sit down: it is `answer` that takes the pieces."""
        self._answer = answer
        if self._lost:
            answer.lose_channel()

    def pass_on(self, piece: bytes) -> None:
        """Hand over a piece; whoever cannot take it is failed alone, for the channel is everybody's."""
        answer = self._answer
        if answer is None:
            return
        try:
            answer.take(piece)
        except Exception:
            logger.exception("A stream could not take what came for it")
            self.leave()
            answer.fail(ConnectionLost(answer_begun=True))

    def lose(self) -> None:
        """Nothing more comes over the channel."""
        self._lost = True
        if self._answer is not None:
            self._answer.lose_channel()

    def leave(self) -> None:
        """Nobody waits for a piece any more."""
        self._seats.pop(self._number, None)
