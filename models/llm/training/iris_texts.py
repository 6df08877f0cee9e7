"""Free texts about an iris flower, with the measurements that they give. Evaluation has its own: see `held_out_texts`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.llm.training import any_texts
from models.llm.training.dialogue import chance
from models.llm.training.iris_phrases import (
    ABSENT,
    ABSENT_PATTERNS,
    ACROSS,
    CENTIMETRES,
    CLOSINGS,
    NAMES,
    OPENINGS,
    PAIR_PATTERNS,
    PAIRS,
    SEPARATORS,
    SIDES,
    SINGLE_PATTERNS,
    SINGLES,
    TABLES,
    UNITS,
    WISE,
)
from models.llm.training.phrasing import expand

if TYPE_CHECKING:
    from random import Random

_PATTERNS = 0.6
"""Share of texts' pieces that come from patterns; the rest are the phrases above as they stand."""


def draw(rng: Random) -> tuple[str, dict[str, str]]:
    """A text, and the values in cm by feature, as printed there or ten times smaller where it says mm."""
    figures: dict[str, str] = {}
    common = rng.choice(UNITS)
    mixed = "mm" not in common and chance(rng, 0.5)
    if chance(rng, 0.06):
        return any_texts.text(rng, [_table(rng, common, figures)], OPENINGS, CLOSINGS, SEPARATORS), figures
    if chance(rng, 0.08):
        pieces = [_across(rng, side, common, figures) for side in rng.sample(sorted(SIDES), rng.randint(1, 2))]
        return any_texts.text(rng, pieces, OPENINGS, CLOSINGS, SEPARATORS), figures
    pieces = []
    for part in rng.sample(("sepal", "petal"), 1 if chance(rng, 0.12) else 2):
        unit = rng.choice(CENTIMETRES) if mixed else common
        if chance(rng, 0.55):
            pieces.append(_pair(rng, part, unit, figures))
        else:
            pieces.extend(_single(rng, part, side, unit, figures) for side in ("length", "width") if chance(rng, 0.75))
    if chance(rng, 0.5):
        rng.shuffle(pieces)
    pieces = pieces or ["I forgot to measure it"]
    return any_texts.text(rng, pieces, OPENINGS, CLOSINGS, SEPARATORS), figures


def measure(rng: Random, unit: str) -> tuple[str, str]:
    """A length as printed with `unit`, and in cm."""
    if unit.strip() == "mm":
        tenths = rng.randrange(1, 80)
        return str(tenths), f"{tenths // 10}.{tenths % 10}" if tenths % 10 else str(tenths // 10)
    value = f"{rng.uniform(0.1, 8):.1f}"
    if chance(rng, 0.12):
        value = str(rng.randrange(1, 9))
    elif chance(rng, 0.1):
        value = f"{rng.uniform(0.1, 8):.2f}"
    return value, value


def _pair(rng: Random, part: str, unit: str, figures: dict[str, str]) -> str:
    printed = {}
    for side in SIDES:
        printed[side], figures[f"{part}_{side}"] = measure(rng, unit)
    length, width = printed["length"], printed["width"]
    if not chance(rng, _PATTERNS):
        return rng.choice(PAIRS).format(part=part, l=length, w=width, u=unit)
    (first, x), (second, y) = rng.sample(sorted(printed.items()), 2)
    one, other = SIDES[first], SIDES[second]
    frame = (
        rng.choice(PAIR_PATTERNS)
        .replace("{first}", f"{{x}}{{u}} {one['wise']}")
        .replace("{second}", f"{{y}}{{u}} {other['wise']}")
        .replace(
            "{first_of}",
            rng.choice((f"{{x}}{{u}} {one['noun']}", f"{one['noun']} {{x}}{{u}}", f"a {one['noun']} of {{x}}{{u}}")),
        )
        .replace(
            "{second_of}",
            rng.choice(
                (f"{{y}}{{u}} {other['noun']}", f"{other['noun']} {{y}}{{u}}", f"a {other['noun']} of {{y}}{{u}}")
            ),
        )
        .replace("{adj1}", one["adj"])
        .replace("{adj2}", other["adj"])
        .replace("{first_noun}", one["noun"])
        .replace("{second_noun}", other["noun"])
    )
    return expand(rng, frame).format(part=_plural(rng, part), x=x, y=y, l=length, w=width, u=unit)


def _across(rng: Random, side: str, unit: str, figures: dict[str, str]) -> str:
    a, b = rng.sample(("sepal", "petal"), 2)
    x, figures[f"{a}_{side}"] = measure(rng, unit)
    y, figures[f"{b}_{side}"] = measure(rng, unit)
    words = SIDES[side]
    pattern = rng.choice(ACROSS).replace("{noun}", words["noun"]).replace("{wise}", words["wise"])
    return expand(rng, pattern).format(a=_plural(rng, a), b=_plural(rng, b), x=x, y=y, u=unit)


def _single(rng: Random, part: str, side: str, unit: str, figures: dict[str, str]) -> str:
    words = SIDES[side]
    if chance(rng, 0.12):
        pattern = rng.choice((*ABSENT, *ABSENT_PATTERNS)).replace("{noun}", words["noun"])
        return expand(rng, pattern).format(part=part, side=side)
    value, figures[f"{part}_{side}"] = measure(rng, unit)
    if chance(rng, 0.3):
        return any_texts.say(rng, rng.choice(NAMES).format(part=part, side=side), f"{value}{unit}")
    if chance(rng, _PATTERNS):
        pattern = rng.choice(SINGLE_PATTERNS).replace("{noun}", words["noun"])
        pattern = pattern.replace("{wise}", words["wise"]).replace("{adj}", words["adj"])
        return expand(rng, pattern).format(part=_plural(rng, part), v=value, u=unit)
    return rng.choice(SINGLES).format(part=part, side=side, wise=WISE[side], v=value, u=unit)


def _table(rng: Random, unit: str, figures: dict[str, str]) -> str:
    names = [f"{part}_{side}" for part in ("sepal", "petal") for side in SIDES]
    told = rng.sample(names, rng.randint(2, 4)) if chance(rng, 0.5) else names
    values = []
    for name in told:
        printed, figures[name] = measure(rng, unit)
        values.append(printed)
    joint, other = (rng.choice((", ", " ", "; ", " / ", "\t", " | ")) for _ in range(2))
    words = told if chance(rng, 0.2) else [name.replace("_", " ") for name in told]
    return expand(rng, rng.choice(TABLES)).format(
        names=rng.choice((", ", "; ", " | ", " and ", other if other != " " else ", ")).join(words),
        values=joint.join(values) + unit,
    )


def _plural(rng: Random, part: str) -> str:
    return f"{part}s" if chance(rng, 0.3) else part
