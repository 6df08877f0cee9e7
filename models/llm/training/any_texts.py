"""Free texts about the features of any model, in frames that go with any name.

A model that has read a figure beside a hundred names, each in thirty frames, learns how a text ties a figure to a name
rather than a list of phrases; the texts about flowers and payments draw from these frames too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.llm.training.copying import figure
from models.llm.training.dialogue import casual, chance, typos
from models.llm.training.phrasing import expand
from models.llm.training.words import NAMES, QUALIFIERS, UNITS
from models.spec import Feature

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random

FRAMES = (
    "{name} {v}", "{name} {v}", "{name}: {v}", "{name} = {v}", "{name}={v}", "{name} is {v}", "the {name} is {v}", "its {name} was {v}",
    "a {name} of {v}", "{v} {name}", "{v} of {name}", "{v} for the {name}", "I read {v} for {name}", "{name} about {v}", "with {name} {v}",
    "{name} ({v})", "{v} ({name})", "{name} - {v}", "{name} -> {v}", "there is a {name} of {v}", "{v} as {name}", "the {name}? {v}",
    "they put the {name} at {v}", "{name} equals {v}", "{v} when asked for the {name}", "the {name} reached {v}", "we wrote down {v} as its {name}",
    "{name} near {v}", "{v} was what we got for {name}", "for {name}, {v}", "whose {name} is {v}", "{v}, that is the {name}", "the {name} turned out to be {v}",
    "and {name} too, {v}", "it shows {v} in {name}", "{name} measured {v}", "my note on the {name} says {v}", "{name} at {v}", "the {name} seems to be {v}",
)  # fmt: skip
"""Ways to say that the figure `v`, unit included, is that of `name`."""
PATTERNS = (
    "((the|its|a|her|our|that|this|my|)) {name} ((is|was|reads|reached|stands at|comes out at|came to|amounts to|lies at|got to|shows|measured|of|around|about|roughly|exactly|:|=|-|->|at|,|has|gives|turned out as|must be|would be|should be|goes up to|equals|being|makes|says)) {v}",
    "{v} ((is|was|for|as|of|in|=|goes to|belongs to|stands for|counts as|on|describes|makes|gives|would be|being|,)) ((the|its|that|our|)) {name}",
    "((with|at|and|given|has|had|having|showing|for)) ((a|the|its|)) {name} ((of|at|near|about|around|as high as|as low as|=|:|)) {v}",
    "((I|we|they|she|he|you|somebody|the team|my friend)) ((see|saw|read|got|found|measured|noted|wrote|put|set|took|had|have|give|estimate|count|counted|entered)) ((a|the|its|)) {name} ((of|at|as|to be|around|near|with)) {v}",
    "((I|we|they|she|he|you|somebody|the team|my friend)) ((see|saw|read|got|found|measured|noted|wrote|put|took|had|have|give|estimate|counted|entered)) {v} ((for|as|in|on|of|under|at|next to)) ((the|its|)) {name}",
    "((what about|how about|as to|as for|regarding|on|concerning|about|now)) the {name}((?|:|,| -)) {v}",
    "~{name} ~{v} ~",
    "~{name} ~{v}",
    "~{v} ~{name} ~",
    "~{v} ~{name}",
    "((just|only|some|about|nearly|over|under|exactly|up to|a good|barely)) {v} ((of|in|for|as)) {name}",
    "{name} ((=|:|-|->|>|is|==|of|at|,|;)) ((just|only|some|about|nearly|exactly|around|)) {v}",
    "[{name}] {v}", "<{name}>{v}", "{name}\t{v}", "{name} [{v}]", '"{name}": {v}', "* {name}: {v}", "- {name} {v}", "#{name} {v}",
)  # fmt: skip
"""The same in patterns of `phrasing.expand`."""
PAIRS = (
    "{a} and {b} are {x} and {y}", "{a} {x} and {b} {y}", "{x} and {y} for {a} and {b}", "{a}/{b} {x}/{y}", "{x} is the {a} and {y} the {b}",
    "{a} is {x} while {b} is {y}", "the {a} is {x}, the {b} {y}", "{a}, then {b}: {x}, {y}", "between {a} {x} and {b} {y}", "a {a} of {x} with a {b} of {y}",
)  # fmt: skip
ABSENT = (
    "{name} unknown", "no {name}", "{name}: ?", "the {name} is missing", "nothing on {name}", "I do not know the {name}", "{name} not given", "{name} n/a",
    "nobody took the {name}", "the {name} was not written down", "{name} could not be read", "without a {name}",
)  # fmt: skip
FILLERS = (
    "by the way", "it rained that day", "as far as I can tell", "if I read it right", "see page {n}", "number {n} of the list", "she said",
    "nothing special", "that was in room {n}", "we are {n} people", "and that is that", "sorry for the mess", "it was a long day", "my phone is at {n} percent",
    "as always", "the others are fine", "you know how it is", "I am {n} years old", "call me at {n}{n}", "this is try {n}", "version {n}",
    "it took {n} tries", "for the third time", "who knows", "between you and me", "my office is at number {n}", "on the {n}th", "it is Monday",
    "{n} of them grow here", "there were {n} others", "out of {n}", "in a group of {n}", "{n} people saw it", "my {n} friends agree", "row {n} of {n}", "{n} in the box", "it has {n} spots", "(line {n})", "phone {n}{n}",
    "this one is new", "and one more thing", "one of those", "that one again", "sent from my phone", "to be honest", "no idea why", "we talked on line {n}", "I will be back soon", "ref {n}{n}", "table {n}", "so far so good",
)  # fmt: skip
"""What a person says in between, figures that are no feature included."""
OPENINGS = (
    "", "", "", "Here it is: ", "Record {n}: ", "Hello! ", "The readings: ", "We have ", "What do you make of this: ", "Log line {n}: ", "Notes. ",
    "From the sheet, row {n}: ", "Somebody sent ", "Look at this. ", "It goes like this: ", "Question {n}: ",
)  # fmt: skip
CLOSINGS = (
    "",
    "",
    "",
    ".",
    "!",
    ". Thanks.",
    ". That is all.",
    ". What follows?",
    ". See note {n}.",
    ", more or less",
    ". The rest is blank.",
    "?",
)
SEPARATORS = (", ", ", ", "; ", ". ", "\n", " and ", " | ", ", and ")
_SENTENCES = (". ", "\n")


def features(rng: Random) -> tuple[Feature, ...]:
    """Those of a made-up model: two to seven, most of them with a unit."""
    names = rng.sample(NAMES, rng.randint(2, 7))
    return tuple(
        Feature(
            name=f"{rng.choice(QUALIFIERS)}_{name}" if chance(rng, 0.5) else name,
            description=name,
            unit=rng.choice(UNITS) if chance(rng, 0.7) else None,
            low=0.0,
            high=100_000.0,
        )
        for name in names
    )


def draw(rng: Random, features_: Sequence[Feature]) -> tuple[str, dict[str, str]]:
    """A text that gives some of the features, and their figures as printed, by feature."""
    figures: dict[str, str] = {}
    pieces = []
    told = rng.sample(features_, rng.randint(0 if chance(rng, 0.1) else 1, len(features_)))
    while told:
        feature = told.pop()
        value = _value(rng, feature, figures)
        if told and chance(rng, 0.25):
            other = told.pop()
            frame = rng.choice(PAIRS)
            pieces.append(
                frame.format(a=_name(rng, feature), b=_name(rng, other), x=value, y=_value(rng, other, figures))
            )
        else:
            pieces.append(say(rng, _name(rng, feature), value))
    untold = [feature for feature in features_ if feature.name not in figures]
    pieces.extend(rng.choice(ABSENT).format(name=_name(rng, feature)) for feature in untold if chance(rng, 0.2))
    rng.shuffle(pieces)
    return text(rng, pieces or ["I have nothing to report"], OPENINGS, CLOSINGS, SEPARATORS), figures


def say(rng: Random, name: str, value: str) -> str:
    """That the figure `value`, unit included, is that of `name`."""
    if chance(rng, 0.6):
        return expand(rng, rng.choice(PATTERNS)).format(name=name, v=value)
    return rng.choice(FRAMES).format(name=name, v=value)


def text(
    rng: Random, pieces: Sequence[str], openings: Sequence[str], closings: Sequence[str], separators: Sequence[str]
) -> str:
    """The pieces as a person may write them: joined, opened and closed, with typos and things that do not matter."""
    said = [typos(rng, piece, 0.03) for piece in pieces]
    if chance(rng, 0.2):
        said.insert(rng.randint(0, len(said)), rng.choice(FILLERS))
    joints = rng.choices(separators, k=len(said)) if chance(rng, 0.45) else [rng.choice(separators)] * len(said)
    opening = rng.choice(openings)
    if chance(rng, 0.6):
        first = not opening or opening.endswith((". ", "! ", "? "))
        begins = [first, *(joint in _SENTENCES for joint in joints)]
        said = [piece[:1].upper() + piece[1:] if begin else piece for piece, begin in zip(said, begins, strict=False)]
    joints[-1] = rng.choice(closings)
    whole = opening + "".join(piece + joint for piece, joint in zip(said, joints, strict=True))
    return casual(rng, whole.replace("{n}", str(rng.randrange(1, 99))))


def _name(rng: Random, feature: Feature) -> str:
    words = feature.name.replace("_", " ")
    return feature.name if chance(rng, 0.15) else f"{words}s" if chance(rng, 0.04) else words


def _value(rng: Random, feature: Feature, figures: dict[str, str]) -> str:
    figures[feature.name] = figure(rng)
    unit = feature.unit if chance(rng, 0.7) else None
    return figures[feature.name] + (f"{rng.choice((' ', ' ', ''))}{unit}" if unit else "")
