"""What the layers below control must know of the request they work for: whose it is, and until when it is wanted.

It travels in a context variable, so that no protocol adapter can forget to hand it on: each request is a task of its own.
A request that nobody limits, without a deadline, has none of it and costs nothing.
"""

from __future__ import annotations

import asyncio
from contextvars import ContextVar, Token
from typing import TYPE_CHECKING

import msgspec

from services.errors import DeadlineExceeded

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


_NOBODY = Work()
_CURRENT: ContextVar[Work] = ContextVar("tandem_work", default=_NOBODY)


current = _CURRENT.get
"""The request that this task works for."""
begin = _CURRENT.set
"""From here on this task works for a request: hand what comes back to `end`."""


def end(token: Token[Work]) -> None:
    """From here on this task works for nobody in particular."""
    try:  # contextlib.suppress would cost as much as all the rest
        _CURRENT.reset(token)
    except ValueError:  # an abandoned generator is closed elsewhere, where nothing was begun
        return


def seconds_left(most: float) -> float:
    """How long the caller still waits, at most `most` seconds. Raises DeadlineExceeded when that time is over."""
    deadline = _CURRENT.get().deadline
    if deadline is None:
        return most
    left = deadline - asyncio.get_running_loop().time()
    if left <= 0:
        raise DeadlineExceeded("The time that the caller gave ran out before the work began.")
    return min(most, left)
