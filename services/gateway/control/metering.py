"""Counts the tokens of the language model's answer while it passes through.

A streamed answer says what it used only when its request asked for that. Tandem asks on the client's behalf, and takes the one
event that comes for it out again, so that the client sees the stream that it asked for.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from services.gateway.control.tokens import used_tokens

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import aiohttp

    from services.gateway.control.work import Work

_END = b"\n\n"
_DATA = b"data:"
_SAYS_USAGE = b'"usage"'
_NO_CHOICE = re.compile(rb'"choices"\s*:\s*\[\s*\]')
_EVENT_STREAM = "text/event-stream"


class MeteredResponse:
    """As much of aiohttp's response as protocol adapters use, telling `work` the tokens that it used."""

    def __init__(self, response: aiohttp.ClientResponse, work: Work, *, hide: bool, prompt: int) -> None:
        """`hide` says that the client did not ask for the usage; `prompt` is its prompt's estimated length in tokens."""
        self._response = response
        self._work = work
        self.status = response.status
        self.headers = response.headers
        streams = response.headers.get("content-type", "").startswith(_EVENT_STREAM)
        self.content: Any = MeteredContent(response.content, work, hide=hide, prompt=prompt) if streams else self
        if response.status != 200:  # noqa: PLR2004
            work.used(0)

    async def read(self) -> bytes:
        """The whole body."""
        body = await self._response.read()
        self._work.used((used_tokens(body) or 0) if self.status == 200 else 0)  # noqa: PLR2004
        return body

    async def iter_any(self) -> AsyncIterator[bytes]:
        """The body of an answer that is no stream."""
        yield await self.read()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for line in (await self.read()).splitlines(keepends=True):
            yield line


class MeteredContent:
    """The events of a stream, in whole events. Until the usage has come, each counts as a token: what a stream that is cut
    has cost.
    """

    def __init__(self, content: Any, work: Work, *, hide: bool, prompt: int) -> None:
        self._content = content
        self._work = work
        self._hide = hide
        self._tokens = prompt
        self._told = False

    async def iter_any(self) -> AsyncIterator[bytes]:
        """Whole events, as soon as they are complete."""
        rest = b""
        async for piece in self._content.iter_any():
            *events, rest = (rest + piece).split(_END)
            passing = [event for event in events if self._passes(event)]
            if passing:
                yield _END.join(passing) + _END
        if rest:
            yield rest

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for piece in self.iter_any():
            for line in piece.splitlines(keepends=True):
                yield line

    def _passes(self, event: bytes) -> bool:
        """Count `event`; whether the client gets it."""
        if _SAYS_USAGE in event:
            line = next((line for line in event.split(b"\n") if line.startswith(_DATA)), _DATA)
            used = used_tokens(line[len(_DATA) :].strip())
            if used is not None:
                self._work.used(used)
                self._told = True
                return not (self._hide and _NO_CHOICE.search(event))
        if not self._told:
            self._tokens += 1
            self._work.used(self._tokens)
        return True
