"""The head of a request that came before on its connection: recognised by its bytes, it is not parsed again.

Clients that keep a connection say the same head again and again, but for the length of the body. What llhttp has once read and
taken means the same the next time, as long as it stands between two requests and the body is as long as it says.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from services.asgi import Header, Scope

LONGEST = 4096
"""Bytes of a head that is worth keeping."""
_END = b"\r\n\r\n"
_LENGTH = b"content-length"
_MOST_DIGITS = 18
_FORWARDED = frozenset({b"x-forwarded-for", b"x-forwarded-proto"})
_UNLIKE = frozenset({b"transfer-encoding", b"expect", b"upgrade", b"trailer"})
"""Headers that make a request more than a head and a body of known length."""


class KnownHead:
    """What one head means, as long as its connection lasts."""

    __slots__ = ("_after", "_before", "_place", "_scope", "is_forwarded", "memo")

    def __init__(self, before: bytes, after: bytes, scope: dict[str, Any], place: int) -> None:
        """`before` and `after` are the head's bytes around the digits of its content length, at `place` among its headers; `after`
        is empty where there is none.
        """
        self._before = before
        self._after = after
        self._scope = scope
        self._place = place
        self.is_forwarded = not _FORWARDED.isdisjoint(name for name, _ in scope["headers"])
        """Whether a proxy says in it who its client is."""
        self.memo: Any = None
        """What an app has read from the head, to be read once only."""

    def body_in(self, data: bytes) -> bytes | None:
        """The body, where `data` is this head and its whole body; None where it is anything else."""
        before = self._before
        if not data.startswith(before):
            return None
        start = len(before)
        if not self._after:
            return b"" if len(data) == start else None
        end = data.find(b"\r", start, start + _MOST_DIGITS + 1)
        if not data.startswith(self._after, end):
            return None
        body = data[end + len(self._after) :]
        return body if data[start:end] == b"%d" % len(body) else None

    def scope(self, length: int) -> dict[str, Any]:
        """A scope for one more request with a body of `length` bytes."""
        scope = self._scope.copy()
        headers: list[Header] = scope["headers"].copy()
        if self._after:
            headers[self._place] = (_LENGTH, b"%d" % length)
        scope["headers"] = headers
        scope["state"] = scope["state"].copy()
        return scope


def known_head(data: bytes, scope: Scope) -> KnownHead | None:
    """The head with which `data` begins, a whole request that was read as `scope`; None for one that must be parsed each time."""
    end = data.find(_END, 0, LONGEST) + len(_END)
    names_and_values: list[Header] = scope["headers"]
    names = [name for name, _ in names_and_values]
    if end < len(_END) or not _UNLIKE.isdisjoint(names) or names.count(_LENGTH) > 1:
        return None
    kept = {name: value for name, value in scope.items() if name != "extensions"}
    # The app of the first request may change what it is given.
    kept |= {"headers": names_and_values.copy(), "state": scope["state"].copy()}
    if _LENGTH not in names:
        return KnownHead(data, b"", kept, 0) if len(data) == end else None
    place = names.index(_LENGTH)
    digits: bytes = scope["headers"][place][1]
    line = data[:end].lower().find(b"\r\n" + _LENGTH + b":")
    start = data.find(digits, line + len(_LENGTH) + 3, end)
    before, after = data[:start], data[start + len(digits) : end]
    if line < 0 or before[line + len(_LENGTH) + 3 :].strip(b" \t") or not after.startswith(b"\r\n"):
        return None
    known = KnownHead(before, after, kept, place)
    return known if known.body_in(data) is not None else None
