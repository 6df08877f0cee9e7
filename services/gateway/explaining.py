"""Asks the language model to put a prediction and its attributions into words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from models.llm.prompts import EXPLAIN_DECODING, explain_messages
from services.errors import ServingError, Unavailable
from services.gateway.sse import lines_of, text_of

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from models.attribution import RankedAttribution
    from models.spec import Attributions, ModelSpec
    from services.gateway.backends import LLMBackend
    from services.gateway.health import HealthMonitor

CHAT_PATH = "/v1/chat/completions"
_HEADERS = {"content-type": "application/json"}


@dataclass(frozen=True, slots=True)
class Attributed:
    """A prediction, and what each feature did for it."""

    spec: ModelSpec
    probabilities: dict[str, float]
    attributions: Attributions
    ranked: tuple[RankedAttribution, ...]

    @property
    def label(self) -> str:
        """The predicted class, which the attributions are for."""
        return self.attributions.label


@dataclass(frozen=True, slots=True)
class Explanation:
    """A prediction, why, and the language model's words for it."""

    attributed: Attributed
    text: str | None
    """None when the language model could not be asked; `reason` says why then."""
    reason: str | None


class Explainer:
    """The pairing: the classifier's prediction is what the language model explains."""

    def __init__(self, llm: LLMBackend, health: HealthMonitor) -> None:
        self._llm = llm
        self._health = health

    async def explain(self, attributed: Attributed) -> Explanation:
        """The language model's words for exactly this; when it is down, the reason in their place."""
        try:
            self._health.require("llm")
            status, answer = await self._llm.call("POST", CHAT_PATH, self._body(attributed, stream=False))
            return Explanation(attributed, _completion(status, answer), None)
        except ServingError as error:
            return Explanation(attributed, None, error.message)

    async def stream(self, attributed: Attributed) -> AsyncGenerator[str, None]:
        """The words of `explain`, piece by piece as they are generated. Raises Unavailable when the LLM is down."""
        self._health.require("llm")
        body = self._body(attributed, stream=True)
        async with self._llm.stream("POST", CHAT_PATH, body, _HEADERS) as response:
            if response.status != 200:  # noqa: PLR2004
                _completion(response.status, await response.read())
            async for line in lines_of(response.content):
                piece = text_of(line)
                if piece:
                    yield piece

    def _body(self, attributed: Attributed, *, stream: bool) -> bytes:
        probability = attributed.probabilities[attributed.label]
        request = {
            "model": self._health.last("llm").detail.get("model"),
            "messages": explain_messages(attributed.spec, attributed.label, probability, attributed.ranked),
            "stream": stream,
            **EXPLAIN_DECODING,
        }
        return msgspec.json.encode(request)


def _completion(status: int, answer: bytes) -> str:
    try:
        decoded = msgspec.json.decode(answer)
        if status != 200:  # noqa: PLR2004
            raise Unavailable(f"The language model refused: {decoded['error']['message']}")
        text = decoded["choices"][0]["message"]["content"]
        if text is None:
            raise Unavailable("The language model had nothing to say.")
        return str(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, KeyError, IndexError, TypeError):
        raise Unavailable("The language model sent an answer that cannot be read.") from None
