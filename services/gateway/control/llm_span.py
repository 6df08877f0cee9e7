"""The span of one request to the language model, under the names of OpenTelemetry's conventions for generative AI.

What is asked and answered stays out of it unless `tracing.capture_content` says otherwise. Bodies are read here once more, which
only a sampled request pays for.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import msgspec

from services.telemetry.generation import CANCELLED, PROVIDER
from services.telemetry.spans import CLIENT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.util.types import AttributeValue

    from services.telemetry.generation import Generation
    from services.telemetry.spans import TraceSpan

_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_DATA = b"data: {"
_FINISHES = re.compile(rb'"finish_reason":\s*"')
_LONGEST = 64 * 1024
"""Characters of a prompt or an answer that a span takes; the rest is cut off."""
_LARGEST = 2**63
"""What an attribute can hold is smaller."""
_FIRST_TOKEN = "gen_ai.first_token"  # noqa: S105 - the name of an event


class _Asked(msgspec.Struct):
    """The parameters that the conventions name. Their types are vLLM's business."""

    max_tokens: Any = None
    max_completion_tokens: Any = None
    max_output_tokens: Any = None
    temperature: Any = None
    top_p: Any = None
    n: Any = None
    seed: Any = None
    stream: Any = None
    messages: Any = None
    prompt: Any = None
    input: Any = None


class _Said(msgspec.Struct):
    content: Any = None


class _Choice(msgspec.Struct):
    message: _Said | None = None
    delta: _Said | None = None
    text: Any = None
    finish_reason: str | None = None


class _Answered(msgspec.Struct):
    """An answer, or one event of a stream."""

    id: str = ""
    model: str = ""
    choices: list[_Choice] = []


_decode_asked = msgspec.json.Decoder(_Asked).decode
_decode_answered = msgspec.json.Decoder(_Answered).decode


class LLMSpan:
    """What one request to the language model says of itself in its trace. `end` must follow."""

    def __init__(self, above: TraceSpan, operation: str, model: str, body: bytes, *, captures: bool) -> None:
        """`captures` says that prompt and answer may be put into it."""
        attributes = _asked(body, captures=captures)
        attributes["gen_ai.operation.name"] = operation
        attributes["gen_ai.provider.name"] = PROVIDER
        attributes["gen_ai.request.model"] = model
        self._span = above.child(f"{operation} {model}", attributes, kind=CLIENT)
        self._captures = captures
        self._known: _Answered | None = None
        self._reasons: dict[int, str] = {}
        self._texts: list[str] = []

    def headers(self) -> dict[str, str]:
        """What tells vLLM of this span."""
        return self._span.headers()

    def first_token(self) -> None:
        """The first token of a stream has come."""
        self._span.event(_FIRST_TOKEN)

    def events(self, events: Sequence[bytes]) -> None:
        """Events of a stream have come: of most of them nothing is wanted but that they came."""
        for event in events:
            if event.startswith(_DATA) and (self._known is None or self._captures or _FINISHES.search(event)):
                self.answered(event[len(_DATA) - 1 :])

    def answered(self, body: bytes) -> None:
        """A whole answer, or one event of a stream, has come."""
        try:
            answer = _decode_answered(body)
        except _UNREADABLE:
            return
        self._known = self._known or answer
        for at, choice in enumerate(answer.choices):
            if choice.finish_reason is not None:
                self._reasons[at] = choice.finish_reason
            if self._captures:
                said = choice.message or choice.delta
                text = said.content if said else choice.text
                self._texts += [text] if isinstance(text, str) else []

    def end(self, generation: Generation) -> None:
        """It is over, with what `generation` has counted."""
        attributes: dict[str, AttributeValue] = {}
        if generation.input_tokens is not None:
            attributes["gen_ai.usage.input_tokens"] = generation.input_tokens
        if generation.output_tokens is not None:
            attributes["gen_ai.usage.output_tokens"] = generation.output_tokens
        if generation.time_to_first_token is not None:
            attributes["gen_ai.response.time_to_first_chunk"] = generation.time_to_first_token
        if self._known is not None:
            attributes |= {"gen_ai.response.id": self._known.id, "gen_ai.response.model": self._known.model}
        if self._reasons:
            attributes["gen_ai.response.finish_reasons"] = list(self._reasons.values())
        if self._texts:
            reason = next(iter(self._reasons.values()), "")
            attributes["gen_ai.output.messages"] = _messages(
                [{"role": "assistant", "content": "".join(self._texts)}], finish_reason=reason
            )
        self._span.note(attributes)
        if error := generation.error or ("" if generation.complete else CANCELLED):
            self._span.fail(error)
        self._span.end()


def _asked(body: bytes, *, captures: bool) -> dict[str, AttributeValue]:
    try:
        asked = _decode_asked(body)
    except _UNREADABLE:
        return {}
    found: dict[str, AttributeValue] = {
        f"gen_ai.request.{name}": value
        for name, value in (
            ("max_tokens", asked.max_completion_tokens or asked.max_tokens or asked.max_output_tokens),
            ("temperature", asked.temperature),
            ("top_p", asked.top_p),
            ("choice.count", asked.n if asked.n != 1 else None),
            ("seed", asked.seed),
            ("stream", asked.stream or None),
        )
        if isinstance(value, bool | int | float) and abs(value) < _LARGEST
    }
    if captures:
        told = asked.messages or asked.prompt or asked.input
        found["gen_ai.input.messages"] = _messages(told if isinstance(told, list) else [told])
    return found


def _messages(told: Sequence[Any], **more: str) -> str:
    """Messages in the conventions' JSON: of texts, and of parts that have one."""
    listed = [
        {
            "role": str(one.get("role", "user")) if isinstance(one, dict) else "user",
            "parts": [{"type": "text", "content": _text(one.get("content") if isinstance(one, dict) else one)}],
            **more,
        }
        for one in told
    ]
    return msgspec.json.encode(listed).decode()


def _text(content: Any) -> str:
    if isinstance(content, list):
        return "".join(str(part.get("text", "")) for part in content if isinstance(part, dict))[:_LONGEST]
    return str(content)[:_LONGEST] if content is not None else ""
