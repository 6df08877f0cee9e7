"""Free texts about a card payment, with the features that they give. Evaluation has its own: see `held_out_texts`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.classifiers.fraud import FEATURES
from models.llm import prompts
from models.llm.training import any_texts
from models.llm.training.dialogue import chance
from models.llm.training.explaining import feature_value
from models.llm.training.payment_phrases import (
    CLOSINGS,
    COUNT_WORDS,
    FLAG_PATTERNS,
    FLAGS,
    MONEY,
    NAMES,
    NONE,
    OPENINGS,
    PATTERNS,
    PHRASES,
    SEPARATORS,
    TOGETHER,
)
from models.llm.training.payment_sentences import CHAINS, FLAG_PREDICATES, OVER, PREDICATES, SUBJECTS
from models.llm.training.phrasing import expand

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random


def draw(rng: Random) -> tuple[str, dict[str, str]]:
    """A text, and the features that it gives, as JSON has them."""
    names = [feature.name for feature in FEATURES]
    said = rng.sample(names, rng.choice((1, 2, 3, 4, 4, 5, 5, 6, 7, 8, 11)))
    if chance(rng, 0.3):
        said.sort(key=names.index)
    figures: dict[str, str] = {}
    if chance(rng, 0.25):
        return any_texts.text(rng, _sentences(rng, said, figures), OPENINGS, CLOSINGS, SEPARATORS), figures
    pieces = [_phrase(rng, name, figures) for name in said]
    if len(pieces) > 1 and chance(rng, 0.3):
        pair = rng.choice(TOGETHER)
        pieces[:2] = [expand(rng, pair).format(a=pieces[0], b=pieces[1])]
    untold = [name for name in NAMES if name not in figures]
    if untold and chance(rng, 0.12):
        name = rng.choice(NAMES[rng.choice(untold)][0])
        pieces.insert(rng.randint(0, len(pieces)), rng.choice(any_texts.ABSENT).format(name=name))
    return any_texts.text(rng, pieces, OPENINGS, CLOSINGS, SEPARATORS), figures


def _sentences(rng: Random, names: Sequence[str], figures: dict[str, str]) -> list[str]:
    """One subject and what is said of it, then the rest in pieces of their own."""
    subject = rng.choice(SUBJECTS).replace("{over}", OVER)
    if "amount" not in names or chance(rng, 0.2):
        subject = SUBJECTS[1]
    money = rng.choice(MONEY)
    start = expand(rng, subject.replace("{money}", money))
    said = list(names)
    if "{v}" in start:
        said.remove("amount")
        figures["amount"] = _value(rng, "amount")
        start = start.format(v=printed(rng, "amount", figures["amount"]))
    count = rng.randint(1, 4)
    sentence = start
    for at, name in enumerate(said[:count]):
        sentence += (" " if at == 0 else rng.choice(CHAINS)) + _predicate(rng, name, money, figures)
    return [sentence, *(_phrase(rng, name, figures) for name in said[count:])]


def _predicate(rng: Random, name: str, money: str, figures: dict[str, str]) -> str:
    value = figures[name] = _value(rng, name)
    if name in FLAGS:
        return expand(rng, rng.choice(FLAG_PREDICATES[name][int(value)]))
    pattern = rng.choice(PREDICATES[name]).replace("{money}", money)
    return expand(rng, pattern).format(v=printed(rng, name, value))


def _value(rng: Random, name: str) -> str:
    return prompts.number(feature_value(rng, next(feature for feature in FEATURES if feature.name == name)))


def _phrase(rng: Random, name: str, figures: dict[str, str]) -> str:
    value = figures[name] = _value(rng, name)
    if name in FLAGS:
        return expand(rng, rng.choice((FLAG_PATTERNS if chance(rng, 0.6) else FLAGS)[name][int(value)]))
    if value == "0" and name in NONE and chance(rng, 0.6):
        return expand(rng, rng.choice(NONE[name]))
    if chance(rng, 0.3):
        names, units = NAMES[name]
        return any_texts.say(rng, rng.choice(names), f"{printed(rng, name, value)}{rng.choice(units)}")
    if chance(rng, 0.65):
        pattern = rng.choice(PATTERNS[name]).replace("{money}", rng.choice(MONEY))
        return expand(rng, pattern).format(v=printed(rng, name, value))
    return rng.choice(PHRASES[name]).format(v=printed(rng, name, value))


def printed(rng: Random, name: str, value: str) -> str:
    """The value as a person may write it: a small count in words, a large amount with a thousands separator."""
    if name in {"payments_last_hour", "declined_last_day"} and chance(rng, 0.2):
        return COUNT_WORDS[int(value)]
    if name in {"amount", "distance_from_home_km"} and chance(rng, 0.25):
        whole, point, decimals = value.partition(".")
        return f"{int(whole):,}{point}{decimals}"
    return value
