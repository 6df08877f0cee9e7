"""W3C Trace Context (https://www.w3.org/TR/trace-context/): what a caller says of its trace in its headers."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from opentelemetry.trace import TraceState

if TYPE_CHECKING:
    from collections.abc import Iterable

_FORMAT = re.compile(rb"(?!ff)([0-9a-f]{2})-((?!0{32})[0-9a-f]{32})-((?!0{16})[0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
PARENT = b"traceparent"
"""The header that names the caller's span."""
STATE = b"tracestate"
"""The header with what others must know of its trace."""
_LONGEST_STATE = 512
"""Bytes of a `tracestate` that must be passed on; a longer one is left out whole, as the recommendation allows."""


class RemoteSpan(NamedTuple):
    """A span of another process, as one below it knows it."""

    trace_id: int
    span_id: int
    trace_state: str
    """What others must know of its trace, as W3C Trace Context writes it."""


class Caller(NamedTuple):
    """The caller's span."""

    trace_id: str
    span_id: str
    sampled: bool
    state: bytes

    def span(self) -> RemoteSpan:
        """The same, for a span below it. What cannot be read of its state is left out."""
        state = TraceState.from_header([self.state.decode("latin-1")]).to_header() if self.state else ""
        return RemoteSpan(int(self.trace_id, 16), int(self.span_id, 16), state)


def caller_of(headers: Iterable[tuple[bytes, bytes]]) -> Caller | None:
    """The caller's span; None when it names none, more than one, or one that cannot be read."""
    for name, _ in headers:
        if name == PARENT:
            return _read(headers)
    return None


def _read(headers: Iterable[tuple[bytes, bytes]]) -> Caller | None:
    parent: bytes | None = None
    state = b""
    for name, value in headers:
        if name == PARENT:
            parent = value if parent is None else b""
        elif name == STATE:
            state = state + b"," + value if state else value
    found = _FORMAT.fullmatch(parent or b"")
    if found is None or (found[1] == b"00" and found[5]):
        return None
    state = state if len(state) <= _LONGEST_STATE else b""
    return Caller(found[2].decode(), found[3].decode(), bool(int(found[4], 16) & 1), state)
