"""What a request's headers say to the gateway itself, read in one pass."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from services.asgi import TIMEOUT_HEADER
from services.gateway.request_ids import HEADER, is_fit
from services.telemetry.trace_context import PARENT, Caller, caller_of

if TYPE_CHECKING:
    from collections.abc import Iterable

_ID = HEADER.encode()
_TIMEOUT = TIMEOUT_HEADER.encode()


class Head(msgspec.Struct, frozen=True):
    """The headers that are Tandem's own business, whatever the protocol."""

    request_id: str = ""
    """The caller's id for the request; empty where it gave none that is fit to be logged and sent back."""
    secret: bytes | None = None
    """The API key, unchecked."""
    timeout: bytes | None = None
    """How long the caller waits, in its own words."""
    caller: Caller | None = None
    """The span that the request belongs to."""


def read_head(headers: Iterable[tuple[bytes, bytes]]) -> Head:
    """Read `headers`, whose names are in lower case."""
    request_id, secret, timeout, traced = "", None, None, False
    for name, value in headers:
        if name not in _OURS:
            continue
        if name == b"authorization":
            secret = bearer(value) or secret
        elif name == b"x-api-key":
            secret = secret or value
        elif name == _TIMEOUT:
            timeout = value
        elif name == PARENT:
            traced = True  # looked at once only, however many there are
        elif not request_id and is_fit(given := value.decode("latin-1")):
            request_id = given
    return Head(request_id, secret, timeout, caller_of(headers) if traced else None)


def bearer(value: bytes) -> bytes | None:
    """The secret in an `authorization` header; None for another scheme."""
    return value[7:].strip() if value[:7].lower() == b"bearer " else None


_OURS = frozenset({_ID, b"authorization", b"x-api-key", _TIMEOUT, PARENT})
