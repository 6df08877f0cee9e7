"""Errors of Tandem's own API: `{"error": message, "code": kind, "param": field, "request_id": id}`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from services.errors import ServingError


def error_body(error: ServingError, request_id: str) -> bytes:
    """The body that goes with `error`."""
    return msgspec.json.encode(
        {"error": error.message, "code": error.kind, "param": error.param, "request_id": request_id}
    )
