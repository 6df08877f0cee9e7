"""Every request has an id: the caller's, where it is fit to be logged and sent back, else one of ours."""

from __future__ import annotations

import itertools
import secrets
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

HEADER = "x-request-id"
_HEADER_BYTES = HEADER.encode()
_LONGEST = 128


class RequestIds:
    """Ids that no other process gives out."""

    def __init__(self) -> None:
        self._prefix = secrets.token_hex(6)
        self._count = itertools.count()

    def of_headers(self, headers: Iterable[tuple[bytes, bytes]]) -> str:
        """The id of an HTTP request."""
        for name, value in headers:
            if name == _HEADER_BYTES and _fit(given := value.decode("latin-1")):
                return given
        return self._new()

    def of_call(self, headers: Iterable[tuple[bytes, bytes]]) -> tuple[str, bool]:
        """The id of a gRPC call, and whether it is the caller's."""
        for name, value in headers:
            if name == _HEADER_BYTES and _fit(given := value.decode("latin-1")):
                return given, True
        return self._new(), False

    def _new(self) -> str:
        return f"{self._prefix}{next(self._count):08x}"


def _fit(given: str) -> bool:
    return 0 < len(given) <= _LONGEST and given.isascii() and given.isprintable()
