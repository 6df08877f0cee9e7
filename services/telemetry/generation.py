"""What is noted of one request to the language model: how long until it began, how fast it went, what it used."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from services.telemetry import definitions
from services.telemetry.instruments import Histogram

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from services.telemetry.access_log import AccessLine

PROVIDER = "vllm"
CANCELLED = "cancelled"


class GenerationInstruments:
    """The metrics of OpenTelemetry's conventions for generative AI."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.usage = Histogram(definitions.TOKEN_USAGE, registry)
        self.duration = Histogram(definitions.GENERATION_DURATION, registry)
        self.first_token = Histogram(definitions.TIME_TO_FIRST_TOKEN, registry)
        self.per_token = Histogram(definitions.TIME_PER_OUTPUT_TOKEN, registry)
        self.per_chunk = Histogram(definitions.TIME_PER_CHUNK, registry)
        self.speed = Histogram(definitions.OUTPUT_SPEED, registry)

    @property
    def all(self) -> tuple[Histogram, ...]:
        """Every one of them."""
        return (self.usage, self.duration, self.first_token, self.per_token, self.per_chunk, self.speed)


class Generation:
    """One request, from the moment that it asks for admission. `end` must follow, whatever becomes of it."""

    __slots__ = (
        "_began",
        "_chunks",
        "_instruments",
        "_labels",
        "_last",
        "_line",
        "complete",
        "error",
        "input_tokens",
        "output_tokens",
        "time_to_first_token",
    )

    def __init__(self, instruments: GenerationInstruments, operation: str, model: str, line: AccessLine) -> None:
        """`line` is that of the request which it is for."""
        self._instruments = instruments
        self._labels = (operation, PROVIDER, model)
        self._chunks = instruments.per_chunk.at(*self._labels)
        self._began = time.perf_counter()
        self._last = 0.0
        self._line = line
        self.time_to_first_token: float | None = None
        """Seconds; None until the first token of a stream, and for an answer that comes as a whole."""
        self.input_tokens: int | None = None
        self.output_tokens: int | None = None
        """What was used; None until vLLM has said so."""
        self.complete = False
        """Whether the answer came to its end."""
        self.error = ""
        """What it failed for: a status, or the kind of an error; empty for none."""

    def piece(self) -> None:
        """Note that a piece of a stream's answer has arrived."""
        now = time.perf_counter()
        if self.time_to_first_token is None:
            self.time_to_first_token = now - self._began
        else:
            self._chunks.observe(now - self._last)
        self._last = now

    def used(self, input_tokens: int, output_tokens: int) -> None:
        """Note what vLLM says it used."""
        self.input_tokens = input_tokens
        self.output_tokens = output_tokens

    def end(self) -> None:
        """Note that it is over."""
        seconds = time.perf_counter() - self._began
        error = self.error or ("" if self.complete else CANCELLED)
        labels, instruments = self._labels, self._instruments
        self._note()
        instruments.duration.at(*labels, error).observe(seconds)
        if self.input_tokens is not None:
            instruments.usage.at(*labels, "input").observe(self.input_tokens)
        if self.output_tokens:
            instruments.usage.at(*labels, "output").observe(self.output_tokens)
        if error:
            return
        if self.output_tokens:
            instruments.speed.at(*labels).observe(self.output_tokens / seconds)
        first = self.time_to_first_token
        if first is not None:
            instruments.first_token.at(*labels).observe(first)
            if self.output_tokens and self.output_tokens > 1:
                after_first = self._last - self._began - first
                instruments.per_token.at(*labels).observe(after_first / (self.output_tokens - 1))

    def _note(self) -> None:
        """Say the same in the log line of the request that it was for."""
        line = self._line
        line.tokens_in += self.input_tokens or 0
        line.tokens_out += self.output_tokens or 0
        if self.time_to_first_token is not None:
            line.first_token_seconds = round(self.time_to_first_token, 6)
