"""Errors of the Open Inference Protocol over REST: `{"error": message}`. Over gRPC see `services/gateway/rpc/calls.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from services.errors import ServingError


def error_body(error: ServingError, request_id: str) -> bytes:  # noqa: ARG001 - the id is in a header
    """The body that goes with `error`."""
    return msgspec.json.encode({"error": error.message})
