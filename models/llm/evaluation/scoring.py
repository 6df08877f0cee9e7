"""How an answer of each task is judged right or wrong; any language model can be held to it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Protocol

_FOR = r"\b(?:for|in favou?r|supports?|supporting|towards|raises?)\b"
_AGAINST = r"\b(?:against|opposes?|opposing|away|lowers?|contradicts?)\b"
_FIGURE = re.compile(r"\d+(?:\.\d+)?")


UNSCHEMATIC = frozenset({"not JSON", "keys", "types"})
"""Faults of an extraction that its JSON schema rules out."""


class Judge(Protocol):
    """Decides about one answer."""

    def fault(self, answer: str) -> str | None:
        """What is wrong with the answer, or None when it is right."""
        ...


@dataclass(frozen=True, slots=True)
class ExplanationJudge:
    """An explanation: label, probability and the strongest feature's direction right, and no figure made up."""

    label: str
    probability: str
    """As printed: "97.3 %"."""
    top: str
    supports: bool
    others: tuple[str, ...]
    """The other features that were given."""
    prompt: str

    def fault(self, answer: str) -> str | None:
        figure = self.probability.rstrip(" %")
        if not re.search(rf"(?<![\d.]){re.escape(figure)} ?%", answer):
            return "probability"
        if not re.search(rf"(?<!\w){re.escape(self.label)}(?!\w)", answer):
            return "label"
        if self.direction(answer) != self.supports:
            return "direction of the top feature"
        if set(_FIGURE.findall(answer)) - set(_FIGURE.findall(self.prompt)):
            return "a figure that was not given"
        return None

    def direction(self, answer: str) -> bool | None:
        """Whether the answer says that the top feature speaks for the label; None when it does not say."""
        text = answer.lower()
        at = text.find(self.top.lower())
        if at < 0:
            return None
        rest = text[at + len(self.top) :]
        ends = [rest.find(name.lower()) for name in self.others if name.lower() in rest]
        words = re.search(f"(?P<for>{_FOR})|(?P<against>{_AGAINST})", rest[: min(ends, default=len(rest))])
        return None if words is None else words["for"] is not None


@dataclass(frozen=True, slots=True)
class ExtractionJudge:
    """A JSON object with exactly the expected keys and values."""

    expected: dict[str, float | None]

    def fault(self, answer: str) -> str | None:
        try:
            found = json.loads(answer)
        except ValueError:
            return "not JSON"
        if not isinstance(found, dict) or found.keys() != self.expected.keys():
            return "keys"
        if any(value is not None and type(value) not in {int, float} for value in found.values()):
            return "types"
        wrong = [key for key, value in self.expected.items() if found[key] != value]
        return f"value of {', '.join(wrong)}" if wrong else None


@dataclass(frozen=True, slots=True)
class PhraseJudge:
    """A sentence that holds the key fact."""

    phrase: str

    def fault(self, answer: str) -> str | None:
        return None if self.phrase in answer else f"without {self.phrase!r}"
