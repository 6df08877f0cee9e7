"""What "so many a minute" means: three algorithms over the same small state.

A `State` is three numbers, all zero for a caller that was never seen; `roll` brings one up to the present. Times are seconds of
one clock that never goes back. `redis.lua` has the same in Lua.
"""

from __future__ import annotations

import math
from typing import Protocol

MINUTE = 60.0
State = tuple[float, float, float]
"""A time, and two amounts."""


Taken = tuple[State, float, float]
"""A state after something was taken, what remains of the limit, and seconds until nothing of it is used."""

_EPSILON = 1e-9
"""Of an amount, by which sums of fractions may be off."""


class Algorithm(Protocol):
    """How an amount that was used wears off."""

    def take(self, state: State, limit: int, amount: float, now: float) -> Taken | None:
        """Use `amount` at `now`; None when it does not fit. The others in one, for this is on every request's way."""
        ...

    def delay(self, limit: int) -> float:
        """Seconds by which one more puts off the time at which nothing is used, where something is."""
        ...

    def roll(self, state: State, limit: int, now: float) -> tuple[State, float]:
        """The state at `now`, and how much of `limit` is used then."""
        ...

    def add(self, state: State, amount: float, since: float) -> State:
        """A rolled state with `amount` more, or less when negative, of what was used at the time `since`."""
        ...

    def wait(self, state: State, limit: int, amount: float, now: float) -> float:
        """Seconds from `now` until `amount` more fits into a rolled state; infinite for more than the limit."""
        ...

    def reset(self, state: State, limit: int, now: float) -> float:
        """Seconds from `now` until nothing of a rolled state is left."""
        ...


class FixedWindow:
    """The clock's minutes: (begin of the minute, used in it, unused)."""

    def take(self, state: State, limit: int, amount: float, now: float) -> Taken | None:
        elapsed = now % MINUTE
        window = now - elapsed
        used = (state[1] if state[0] == window else 0.0) + amount
        if used > limit + _EPSILON and amount:
            return None
        return (window, used, 0.0), limit - used, MINUTE - elapsed if used else 0.0

    def delay(self, limit: int) -> float:  # noqa: ARG002 - the protocol's signature
        return 0.0

    def roll(self, state: State, limit: int, now: float) -> tuple[State, float]:  # noqa: ARG002 - the protocol's signature
        window = now - now % MINUTE
        if state[0] != window:
            state = (window, 0.0, 0.0)
        return state, state[1]

    def add(self, state: State, amount: float, since: float) -> State:
        if since < state[0]:
            return state
        return (state[0], max(0.0, state[1] + amount), 0.0)

    def wait(self, state: State, limit: int, amount: float, now: float) -> float:
        if amount > limit:
            return math.inf
        return 0.0 if state[1] + amount <= limit else state[0] + MINUTE - now

    def reset(self, state: State, limit: int, now: float) -> float:  # noqa: ARG002
        return state[0] + MINUTE - now if state[1] else 0.0


class SlidingWindow:
    """The last sixty seconds: (begin of this minute, used in it, used in the one before, as if spread evenly over it)."""

    def take(self, state: State, limit: int, amount: float, now: float) -> Taken | None:
        elapsed = now % MINUTE
        window = now - elapsed
        if state[0] != window:
            state = self.roll(state, limit, now)[0]
        _, used, before = state
        used += amount
        weighed = used + before * (1 - elapsed / MINUTE) if before else used
        if weighed > limit + _EPSILON and amount:
            return None
        reset = 2 * MINUTE - elapsed if used else MINUTE - elapsed if before else 0.0
        return (window, used, before), limit - weighed, reset

    def delay(self, limit: int) -> float:  # noqa: ARG002 - the protocol's signature
        return 0.0

    def roll(self, state: State, limit: int, now: float) -> tuple[State, float]:  # noqa: ARG002
        elapsed = now % MINUTE
        window = now - elapsed
        if state[0] != window:
            before = state[1] if abs(window - state[0] - MINUTE) < 1.0 else 0.0
            state = (window, 0.0, before)
        return state, state[1] + state[2] * (1 - elapsed / MINUTE)

    def add(self, state: State, amount: float, since: float) -> State:
        window, used, before = state
        if since >= window:
            return (window, max(0.0, used + amount), before)
        return (window, used, max(0.0, before + amount)) if since >= window - MINUTE else state

    def wait(self, state: State, limit: int, amount: float, now: float) -> float:
        if amount > limit:
            return math.inf
        window, used, before = state
        elapsed = now - window
        room = limit - used - amount
        if room >= 0:
            return max(0.0, MINUTE * (1 - room / before) - elapsed) if before else 0.0
        return MINUTE - elapsed + MINUTE * (1 - (limit - amount) / used)

    def reset(self, state: State, limit: int, now: float) -> float:  # noqa: ARG002
        window, used, before = state
        return window + 2 * MINUTE - now if used else window + MINUTE - now if before else 0.0


class TokenBucket:
    """A supply that fills up steadily: (time, how much was missing then, unused)."""

    def take(self, state: State, limit: int, amount: float, now: float) -> Taken | None:
        missing = max(0.0, state[1] - max(0.0, now - state[0]) * limit / MINUTE) + amount
        if missing > limit + _EPSILON and amount:
            return None
        return (now, missing, 0.0), limit - missing, missing * MINUTE / limit

    def delay(self, limit: int) -> float:
        return MINUTE / limit

    def roll(self, state: State, limit: int, now: float) -> tuple[State, float]:
        missing = max(0.0, state[1] - max(0.0, now - state[0]) * limit / MINUTE)
        return (now, missing, 0.0), missing

    def add(self, state: State, amount: float, since: float) -> State:  # noqa: ARG002
        return (state[0], max(0.0, state[1] + amount), 0.0)

    def wait(self, state: State, limit: int, amount: float, now: float) -> float:  # noqa: ARG002
        if amount > limit:
            return math.inf
        return max(0.0, (state[1] + amount - limit) * MINUTE / limit)

    def reset(self, state: State, limit: int, now: float) -> float:  # noqa: ARG002
        return state[1] * MINUTE / limit


ALGORITHMS: dict[str, Algorithm] = {
    "fixed_window": FixedWindow(),
    "sliding_window": SlidingWindow(),
    "token_bucket": TokenBucket(),
}
"""By the names that the settings use."""
