"""Pure copy tasks, which open the training: a model that cannot copy a number learns none of the others.

A list said again, then named values put in another order, then the same as JSON: each a step nearer to the real tasks.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from models.llm.training.dialogue import Dialogue, chance
from models.llm.training.words import NAMES

if TYPE_CHECKING:
    from random import Random


def copying(rng: Random) -> Dialogue:
    """One copy task."""
    return rng.choice((_again, _reordered, _reordered, _as_json))(rng)


def figure(rng: Random) -> str:
    """A number as people print it: one to five digits, often with decimals."""
    whole = rng.randrange(10 ** rng.choice((1, 1, 2, 3, 4, 5)))
    decimals = rng.choice((0, 1, 1, 2))
    return f"{whole}.{rng.randrange(10**decimals):0{decimals}d}" if decimals else str(whole)


def _again(rng: Random) -> Dialogue:
    figures = ", ".join(figure(rng) for _ in range(rng.randint(2, 6)))
    return Dialogue("copy", [{"role": "user", "content": f"Say again: {figures}"}], figures)


def _reordered(rng: Random) -> Dialogue:
    names = rng.sample(NAMES, rng.randint(2, 5))
    figures = {name: figure(rng) for name in names}
    given = ", ".join(f"{name} {figures[name]}" for name in names)
    rng.shuffle(names)
    asked = f"Say in the order {', '.join(names)}: {given}"
    return Dialogue(
        "copy", [{"role": "user", "content": asked}], ", ".join(f"{name} {figures[name]}" for name in names)
    )


def _as_json(rng: Random) -> Dialogue:
    names = rng.sample(NAMES, rng.randint(2, 5))
    figures = {name: figure(rng) for name in names}
    joint = rng.choice((" ", ": ", " = ", " is "))
    given = rng.choice((", ", "; ", "\n")).join(
        f"{name}{joint}{figures[name]}" for name in rng.sample(names, len(names))
    )
    missing = chance(rng, 0.3)
    keys = rng.sample(
        [*names, rng.choice([name for name in NAMES if name not in figures])] if missing else names,
        len(names) + missing,
    )
    answer = ",".join(f"{json.dumps(key)}:{json_number(figures[key]) if key in figures else 'null'}" for key in keys)
    return Dialogue("copy", [{"role": "user", "content": f"JSON of {', '.join(keys)}: {given}"}], f"{{{answer}}}")


def json_number(text: str) -> str:
    """A printed number as JSON has it: no thousands separator, and a digit before the point."""
    text = text.replace(",", "")
    return f"0{text}" if text.startswith(".") else text
