"""Every request has an id: the caller's, where it is fit to be logged and sent back, else one of ours."""

from __future__ import annotations

import itertools
import secrets

HEADER = "x-request-id"
_LONGEST = 128


class RequestIds:
    """Ids that no other process gives out."""

    def __init__(self) -> None:
        self._prefix = secrets.token_hex(6)
        self._count = itertools.count()

    def new(self) -> str:
        """The id of a request that brought none."""
        return f"{self._prefix}{next(self._count):08x}"


def is_fit(given: str) -> bool:
    """Whether a caller's id may be logged and sent back."""
    return 0 < len(given) <= _LONGEST and given.isascii() and given.isprintable()
