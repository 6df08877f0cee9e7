"""What the layers below a protocol must know of the request they work for: its log line, whose it is, until when it is wanted.

It travels in a context variable, so that no protocol adapter can forget to hand it on: each request is a task of its own.
In one variable alone, for to set one costs more than most of what is done with it.
"""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from typing import TYPE_CHECKING

import msgspec

from services.errors import DeadlineExceeded
from services.telemetry.access_log import AccessLine

if TYPE_CHECKING:
    from services.gateway.control.tokens import Ask


class Work(msgspec.Struct, eq=False):
    """One request under way. This base is allowed everything."""

    deadline: float | None = None
    """A time of the running loop's clock."""
    caller: str = ""
    """Whose turn it is when several wait: a key or an address, and nothing when nobody is told apart."""
    metered: bool = False
    """Whether somebody counts the language model's tokens."""
    counts: bool = False
    """Whether a prediction counts; where it does not, `allow` says all that `use` would."""

    restricted: bool = False
    """Whether it may use some models only, so that `allow` must be asked."""

    def allow(self, model: str) -> None:
        """Raises PermissionDenied when the caller may not use `model`."""

    async def use(self, model: str, ask: Ask | None = None) -> None:
        """Count the request for `model`, with the tokens of `ask`. Raises PermissionDenied or LimitExceeded."""

    def used(self, tokens: int) -> None:
        """Note how many tokens the language model has used for this request, in all."""


NOBODY = Work()
"""What is done for nobody in particular, or for somebody whom nothing limits."""


class Request(msgspec.Struct, frozen=True, eq=False, gc=False):
    """What a task works for."""

    line: AccessLine
    """To note on it what happens further down."""
    work: Work


NO_LINE = AccessLine(0.0, "", "", "", 0, 0.0)
"""For work that no request asked for, or several did."""
_CURRENT: ContextVar[Request] = ContextVar("tandem_request", default=Request(NO_LINE, NOBODY))  # noqa: B039 - it is frozen
current_request = _CURRENT.get
"""The request that this task works for."""


work_for = _CURRENT.set
"""From here on this task works for a request."""


def current() -> Work:
    """The work that this task does."""
    return _CURRENT.get().work


def begin(work: Work) -> None:
    """From here on this task does `work`, for the request that it works for."""
    _CURRENT.set(Request(_CURRENT.get().line, work))


def seconds_left(most: float) -> float:
    """How long the caller still waits, at most `most` seconds. Raises DeadlineExceeded when that time is over."""
    deadline = _CURRENT.get().work.deadline
    if deadline is None:
        return most
    left = deadline - asyncio.get_running_loop().time()
    if left <= 0:
        raise DeadlineExceeded("The time that the caller gave ran out before the work began.")
    return min(most, left)
