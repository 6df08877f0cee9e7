"""How many tokens a request to the language model may use, told from its body alone, and how many its answer says it used."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from services.errors import InvalidInput, PayloadTooLarge

if TYPE_CHECKING:
    from services.settings.control import AdmissionSettings

_BYTES_PER_TOKEN = 3
"""English text has about four bytes a token, code and JSON about three: the estimate is meant to be too high."""


_MOST = 2**50
"""Tokens; more would not be counted exactly, in Redis' doubles, and nobody has as many."""


class _Body(msgspec.Struct):
    """The fields of all the OpenAI API's requests that decide about tokens; raw, because their types are vLLM's business."""

    model: Any = None
    stream: Any = None
    stream_options: Any = None
    max_tokens: Any = None
    max_completion_tokens: Any = None
    max_output_tokens: Any = None
    n: Any = None
    best_of: Any = None
    prompt: msgspec.Raw = msgspec.Raw()
    messages: msgspec.Raw = msgspec.Raw()
    input: msgspec.Raw = msgspec.Raw()


class Ask(msgspec.Struct, frozen=True):
    """What a request to the language model may cost."""

    model: str | None
    prompt: int
    """Tokens of the prompt, estimated from above."""
    answer: int
    """Most tokens of all its answers together."""
    streams: bool
    reports_usage: bool
    """Whether the client itself asked for the usage at the end of the stream."""

    @property
    def tokens(self) -> int:
        """Prompt and answer together."""
        return self.prompt + self.answer


NOTHING = Ask(None, 0, 0, streams=False, reports_usage=False)
_decode = msgspec.json.Decoder(_Body).decode
_decode_list = msgspec.json.Decoder(list[msgspec.Raw]).decode
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def read_ask(body: bytes, settings: AdmissionSettings) -> Ask:
    """What `body` asks for. Raises PayloadTooLarge or InvalidInput past the settings' bounds, and for a body that cannot be
    read: one that vLLM could read all the same would be let in as if it asked for nothing.
    """
    if len(body) > settings.llm_max_body_bytes:
        raise PayloadTooLarge(f"The request body is larger than {settings.llm_max_body_bytes} bytes.")
    try:
        asked = _decode(body)
    except RecursionError:
        raise InvalidInput("The body is nested too deeply.") from None
    except _UNREADABLE as error:
        raise InvalidInput(f"The body cannot be read: {error}.") from None
    for name, value in (("messages", asked.messages), ("input", asked.input)):
        count = len(_listed(value))
        if count > settings.max_messages:
            raise InvalidInput(f"{name}: holds {count} entries; at most {settings.max_messages} are taken.", param=name)
    # Which of them counts depends on the path: the largest is right from above for each.
    limit = max(map(_count, (asked.max_completion_tokens, asked.max_tokens, asked.max_output_tokens)))
    answers = max(1, _count(asked.n), _count(asked.best_of))
    most = min((limit or settings.assumed_new_tokens) * answers * _prompts(asked.prompt), _MOST)
    if settings.max_new_tokens is not None and limit and most > settings.max_new_tokens:
        raise InvalidInput(
            f"max_tokens: the request asks for up to {most} tokens; at most {settings.max_new_tokens} are given.",
            param="max_tokens",
        )
    options = asked.stream_options
    return Ask(
        asked.model if isinstance(asked.model, str) else None,
        -(-len(body) // _BYTES_PER_TOKEN),
        most,
        streams=asked.stream is True,
        reports_usage=isinstance(options, dict) and options.get("include_usage") is True,
    )


def _listed(value: msgspec.Raw) -> list[msgspec.Raw]:
    """The entries of a list; none of anything else."""
    return _decode_list(value) if _first(value) == b"[" else []


def _first(value: msgspec.Raw) -> bytes:
    return bytes(memoryview(value)[:1])


def _count(value: Any) -> int:
    """A positive whole number, also where it is written as vLLM would take it too: 100.0 or "100"."""
    if isinstance(value, bool):
        return 0
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return 0
    return int(number) if 0 < number < math.inf else 0


def _prompts(prompt: msgspec.Raw) -> int:
    """How many prompts a completion has: a list of texts, or of lists of token ids, is one for each."""
    listed = _listed(prompt)
    single = all(_first(one) not in {b'"', b"["} for one in listed)
    return 1 if single else max(1, len(listed))


class Usage(NamedTuple):
    """Tokens that an answer has used."""

    prompt: int
    answer: int
    total: int


class _Usage(msgspec.Struct):
    total_tokens: int | None = None
    prompt_tokens: int = 0
    completion_tokens: int | None = None
    input_tokens: int = 0
    output_tokens: int | None = None


class _Answer(msgspec.Struct):
    usage: _Usage | None = None
    response: _WithUsage | None = None


class _WithUsage(msgspec.Struct):
    usage: _Usage | None = None


_decode_answer = msgspec.json.Decoder(_Answer).decode


def read_usage(answer: bytes) -> Usage | None:
    """The tokens that an answer, or one event of a stream, says were used; None when it does not say."""
    try:
        decoded = _decode_answer(answer)
    except _UNREADABLE:
        return None
    usage = decoded.usage or (decoded.response.usage if decoded.response else None)
    if usage is None:
        return None
    prompt = usage.prompt_tokens + usage.input_tokens
    output = usage.completion_tokens or usage.output_tokens or 0
    return Usage(prompt, output, prompt + output if usage.total_tokens is None else usage.total_tokens)


def with_usage(body: bytes) -> bytes:
    """The streaming request `body`, asking for the usage at the end of the stream; all else in it as it was, byte for byte.

    What cannot be read stays as it is: vLLM says what is wrong with it.
    """
    try:
        fields = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
        options = msgspec.json.decode(fields.get("stream_options", msgspec.Raw(b"null")), type=dict[str, Any] | None)
    except _UNREADABLE:
        return body
    asked = {} if options is None else options
    if not asked.get("include_usage"):
        asked.pop("continuous_usage_stats", None)  # it means nothing without the other, and must not begin to
    fields["stream_options"] = msgspec.Raw(msgspec.json.encode({**asked, "include_usage": True}))
    return msgspec.json.encode(fields)
