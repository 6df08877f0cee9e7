"""What a gRPC call begins with: its header fields, read and checked.

https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md has the fields.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import hpack
from hpack.table import HeaderTable

from services.gateway.rpc.wire.frames import COMPRESSION_ERROR, ViolationError

if TYPE_CHECKING:
    from collections.abc import Iterable

LONGEST_LIST = 16_384
"""Bytes of header fields, names and values, that a call may have, as HTTP/2 counts them."""

_KIND, _RESIZE = 0xE0, 0x20
"""Bits of a block's first byte that tell whether it resizes the table, and how they are set then."""
_REMEMBERED = 64
"""Blocks of a connection that are kept with what they mean."""
_MEMORABLE = 1024
"""Bytes that such a block has at most."""
_PSEUDO = frozenset({b":method", b":scheme", b":path", b":authority"})
_OF_THE_CONNECTION = frozenset({b"connection", b"proxy-connection", b"keep-alive", b"transfer-encoding", b"upgrade"})
_UNITS = {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}
_MOST_DIGITS = 8


class MalformedError(Exception):
    """The fields are no HTTP/2 request."""


@dataclass(slots=True)
class Head:
    """The beginning of one call."""

    path: bytes
    headers: tuple[tuple[bytes, bytes], ...]
    """Names in lower case; those that HTTP/2 itself reads are left out."""
    timeout: float | None = None
    """Seconds that the caller waits."""
    encoding: bytes = b"identity"
    """How compressed messages are."""
    status: bytes = b"200"
    """HTTP status that says what it is instead of a gRPC call; 200 for a gRPC call."""
    memo: Any = None
    """What a layer above has read from it, to be read once only."""


class HeadReader:
    """Reads the header blocks of one connection, in the order in which they come.

    Clients that repeat a call repeat its block, byte for byte. It means the same as long as the table of what was said before is
    as it was, so those that leave the table alone are read once, until another changes it.
    """

    def __init__(self) -> None:
        self._table = _WatchedTable()
        self._decoder = hpack.Decoder(max_header_list_size=2 * LONGEST_LIST)
        self._decoder.header_table = self._table
        self._known: dict[bytes, Head] = {}

    def read(self, block: bytes) -> Head:
        """The head of a call. Raises MalformedError, or ViolationError when nothing that follows could be read."""
        known = self._known.get(block)
        if known is not None:
            return known
        fields = self.decoded(block)
        head = _head(fields)
        if not self._table.changed and len(block) <= _MEMORABLE:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._known[block] = head
        return head

    def decoded(self, block: bytes) -> list[tuple[bytes, bytes]]:
        """The fields of a block. Raises ViolationError."""
        self._table.changed = bool(block) and block[0] & _KIND == _RESIZE
        try:
            fields = [(bytes(name), bytes(value)) for name, value in self._decoder.decode(block, raw=True)]
        except hpack.HPACKError as error:
            raise ViolationError(COMPRESSION_ERROR, str(error)) from None
        if self._table.changed:
            self._known.clear()
        return fields


class _WatchedTable(HeaderTable):
    """Knows whether a block changed it."""

    changed = False

    def add(self, name: bytes, value: bytes) -> None:
        self.changed = True
        super().add(name, value)


def _head(fields: Iterable[tuple[bytes, bytes]]) -> Head:
    pseudo: dict[bytes, bytes] = {}
    headers: list[tuple[bytes, bytes]] = []
    for name, value in fields:
        if name.startswith(b":"):
            if headers or name in pseudo or name not in _PSEUDO:
                raise MalformedError
            pseudo[name] = value
        elif not name or name != name.lower() or name in _OF_THE_CONNECTION or not _is_plain(name + value):
            raise MalformedError
        else:
            headers.append((name, value))
    path = pseudo.get(b":path", b"")
    if not path or b":method" not in pseudo or b":scheme" not in pseudo:
        raise MalformedError
    given = dict(headers)
    return Head(
        path,
        tuple(headers),
        _seconds(given.get(b"grpc-timeout")),
        given.get(b"grpc-encoding", b"identity"),
        _status(pseudo[b":method"], given.get(b"content-type", b""), sum(len(n) + len(v) + 32 for n, v in headers)),
    )


def _is_plain(text: bytes) -> bool:
    return not (b"\r" in text or b"\n" in text or b"\0" in text)


def _status(method: bytes, content_type: bytes, size: int) -> bytes:
    if method != b"POST":
        return b"405"
    kind = content_type.partition(b";")[0].strip().lower()
    if kind != b"application/grpc" and not kind.startswith(b"application/grpc+"):
        return b"415"
    return b"200" if size <= LONGEST_LIST else b"431"


def _seconds(text: bytes | None) -> float | None:
    """What `grpc-timeout` says. Raises MalformedError."""
    if text is None:
        return None
    digits, unit = text[:-1], _UNITS.get(text[-1:])
    if unit is None or not digits.isdigit() or len(digits) > _MOST_DIGITS:
        raise MalformedError
    return int(digits) * unit
