"""Many ways to say a thing from few lines: patterns with alternatives, and words that carry nothing.

A list of phrases teaches the phrases. What is drawn from a grammar, with words in between that the model has no use for,
teaches what ties a figure to a name, and that is what an unseen phrase has in common with the seen ones.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

from models.llm.training.words import CARRIERS

if TYPE_CHECKING:
    from random import Random

_INNERMOST = re.compile(r"\(\(([^()]*)\)\)")
_CARRIED = "~"


def expand(rng: Random, pattern: str) -> str:
    """One of the texts that `pattern` stands for.

    ``((a|b|))`` is a choice, which may hold others; ``~`` is a place for up to three carrier words, with the space after
    them. Spaces that an empty choice leaves are closed up; ``{fields}`` stay.
    """
    text = pattern
    while found := _INNERMOST.search(text):
        text = f"{text[: found.start()]}{rng.choice(_choices(found[1]))}{text[found.end() :]}"
    while _CARRIED in text:
        text = text.replace(_CARRIED, carriers(rng), 1)
    return re.sub(" +", " ", text).strip(" ")


def carriers(rng: Random) -> str:
    """None to three common words, each with a space after it."""
    count = rng.choice((0, 0, 1, 1, 2, 3))
    return "".join(f"{rng.choice(CARRIERS)} " for _ in range(count))


@cache
def _choices(text: str) -> list[str]:
    return text.split("|")
