"""Counts the tokens of the language model's answer, and takes its time, while it passes through.

A streamed answer says what it used only when its request asked for that. Tandem asks on the client's behalf, and takes the one
event that comes for it out again, so that the client sees the stream that it asked for.
"""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING

from services.errors import ServingError, Unavailable
from services.gateway.control.tokens import read_usage

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from services.gateway.control.llm_span import LLMSpan
    from services.gateway.control.work import Work
    from services.gateway.streamed import Answer, Content, Taker
    from services.telemetry.generation import Generation

_END = b"\n\n"
_DATA = b"data:"
_SAYS_USAGE = b'"usage"'
_DONE = b"data: [DONE]"
_WORD = b'data: {"'
"""How an event begins that has no name and does not end the stream."""
_NO_CHOICE = re.compile(rb'"choices"\s*:\s*\[\s*\]')
_EVENT_STREAM = "text/event-stream"
_OK = 200


class Meter:
    """Tells what is counted to whoever limits the caller, to the metrics, and to the trace where there is one."""

    def __init__(self, work: Work, generation: Generation, prompt: int, span: LLMSpan | None = None) -> None:
        """`prompt` is the prompt's estimated length in tokens: what a stream that is cut has cost at least."""
        self._span = span
        self._work = work
        self._generation = generation
        self._tokens = prompt
        self._told = False

    def headers(self) -> dict[str, str]:
        """What tells the language model of the request's trace; nothing where it is not sampled."""
        return self._span.headers() if self._span is not None else {}

    def answered(self, status: int, body: bytes) -> None:
        """Note a whole answer."""
        if self._span is not None and status == _OK:
            self._span.answered(body)
        usage = read_usage(body) if status == _OK else None
        self._work.used(usage.total if usage else 0)
        if usage:
            self._generation.used(usage.prompt, usage.answer)
        self.ended(status)

    def ended(self, status: int) -> None:
        """Note that the answer came to its end."""
        self._generation.complete = True
        if status != _OK:
            self._generation.error = str(status)

    def failed(self, error: BaseException) -> None:
        """Note what the answer broke off with."""
        if not isinstance(error, (GeneratorExit, asyncio.CancelledError)):
            self._generation.error = error.kind if isinstance(error, ServingError) else Unavailable.kind

    def is_words(self, piece: bytes) -> bool:
        """Whether `piece` is nothing but whole events that carry parts of an answer: what most are, and so told in a glance."""
        return piece.endswith(_END) and piece.startswith(_WORD) and _SAYS_USAGE not in piece and self._span is None

    def words(self, piece: bytes) -> None:
        """Note such a piece."""
        self._generation.piece()
        if not self._told:
            self._tokens += piece.count(_END)
            self._work.used(self._tokens)

    def piece(self, events: list[bytes]) -> None:
        """Note that these events of a stream have arrived together."""
        if any(_says_something(event) for event in events):
            if self._span is not None and self._generation.time_to_first_token is None:
                self._span.first_token()
            self._generation.piece()
        if self._span is not None:
            self._span.events(events)

    def usage_of(self, event: bytes) -> bool:
        """Count `event`; whether it says what was used. Until one does, each counts as a token."""
        if _SAYS_USAGE in event:
            line = next((line for line in event.split(b"\n") if line.startswith(_DATA)), _DATA)
            usage = read_usage(line[len(_DATA) :].strip())
            if usage is not None:
                self._work.used(usage.total)
                self._generation.used(usage.prompt, usage.answer)
                self._told = True
                return True
        if not self._told:
            self._tokens += 1
            self._work.used(self._tokens)
        return False


def _says_something(event: bytes) -> bool:
    """Whether an event carries a part of the answer: what opens and ends a stream does not."""
    if event.startswith(b"event:"):  # OpenAI's responses name their events
        return b".delta" in event[: event.find(b"\n")]
    return not event.startswith(_DONE) and not (_SAYS_USAGE in event and _NO_CHOICE.search(event))


class MeteredResponse:
    """An answer that is counted while it is read."""

    def __init__(self, response: Answer, meter: Meter, *, hide: bool) -> None:
        """`hide` says that the client did not ask for the usage."""
        self._response = response
        self._meter = meter
        self.status = response.status
        self.headers = response.headers
        streams = response.headers.get("content-type", "").startswith(_EVENT_STREAM)
        self.content: Content = MeteredContent(response.content, meter, hide=hide) if streams else self
        if response.status != _OK:
            meter.answered(response.status, b"")

    async def read(self) -> bytes:
        """The whole body."""
        body = await self._response.read()
        self._meter.answered(self.status, body)
        return body

    async def iter_any(self) -> AsyncIterator[bytes]:
        """The body of an answer that is no stream."""
        yield await self.read()

    def offer_to(self, taker: Taker) -> None:
        """Nothing comes in pieces."""


class MeteredContent:
    """The events of a stream, whole, as soon as they are."""

    def __init__(self, content: Content, meter: Meter, *, hide: bool) -> None:
        self._content = content
        self._meter = meter
        self._hide = hide
        self._rest = b""
        """What has come of an event that is not whole."""

    async def iter_any(self) -> AsyncIterator[bytes]:
        """Whole events; at the end, also what is left of one that was cut."""
        try:
            async for piece in self._content.iter_any():
                if not self._rest and self._meter.is_words(piece):
                    self._meter.words(piece)
                    yield piece
                    continue
                *events, self._rest = (self._rest + piece).split(_END)
                self._meter.piece(events)
                passing = [event for event in events if self._passes(event)]
                if passing:
                    yield _END.join(passing) + _END
        except Exception as error:
            self._meter.failed(error)
            if self._rest:
                yield self._rest
            raise
        self._meter.ended(_OK)
        if self._rest:
            yield self._rest

    def offer_to(self, taker: Taker) -> None:
        """See `Content`; offers no more than words."""
        meter = self._meter

        def take(piece: bytes) -> bool:
            if self._rest or not meter.is_words(piece) or not taker(piece):
                return False
            meter.words(piece)
            return True

        self._content.offer_to(take)

    def _passes(self, event: bytes) -> bool:
        """Count `event`; whether the client gets it."""
        return not (self._meter.usage_of(event) and self._hide and _NO_CHOICE.search(event))
