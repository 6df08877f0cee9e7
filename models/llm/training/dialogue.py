"""One example of what the embedded model should say, and the noise that people's writing has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from random import Random

    from models.llm.prompts import Messages


@dataclass(frozen=True, slots=True)
class Dialogue:
    """A prompt and the answer that is right for it."""

    task: str
    """ "copy", "explain", "extract", "answer" or "elsewhere"."""
    messages: Messages
    answer: str


_LONG = 4
"""Letters from which on a word may be misspelt."""


def chance(rng: Random, share: float) -> bool:
    """Whether something happens that happens in `share` of the cases."""
    return rng.random() < share


def typos(rng: Random, text: str, rate: float) -> str:
    """Misspell about `rate` of the longer words: a letter dropped, doubled or swapped with the next.

    Digits, keys and anything with punctuation inside stay as they are, for they are what an answer must copy.
    """
    return " ".join(
        _misspell(rng, word) if len(word) >= _LONG and word.isalpha() and chance(rng, rate) else word
        for word in text.split(" ")
    )


def _misspell(rng: Random, word: str) -> str:
    at = rng.randrange(1, len(word) - 1)
    kind = rng.randrange(3)
    if kind == 0:
        return word[:at] + word[at + 1 :]
    if kind == 1:
        return word[:at] + word[at] + word[at:]
    return word[:at] + word[at + 1] + word[at] + word[at + 2 :]


def casual(rng: Random, text: str) -> str:
    """The text as people type it: sometimes all in lower case, sometimes without its last mark."""
    if chance(rng, 0.2):
        text = text.lower()
    if chance(rng, 0.2):
        text = text.rstrip("?.!")
    return text
