"""Free texts about an iris flower, with the measurements that they give. Evaluation has its own: see `held_out_texts`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.llm.training import any_texts
from models.llm.training.dialogue import chance

if TYPE_CHECKING:
    from random import Random

OPENINGS = (
    "", "", "", "I found an iris with ", "Measurements: ", "Hello, my flower has ", "An iris: ", "Iris no. {n}: ", "We measured ",
    "The flower in the garden: ", "Please classify this one. ", "Sample {n}: ", "From my notebook, page {n}: ", "Hi! ",
    "This plant has ", "A bloom with ", "Data of today: ", "Field notes: ", "Plant {n} has ", "What is this? ", "The specimen shows ",
    "Seen near the lake: ", "It has ", "There are {n} flowers on it, one has ", "I measured it twice. ",
)  # fmt: skip
CLOSINGS = (
    "", "", "", ".", ". Which species is it?", ". Thanks!", ", I think.", ". The stem is {n} cm high.", ". It has {n} leaves.",
    ". Measured on day {n}.", ". What is it?", " (sample {n})", ". Blue, with {n} buds.", ". That is all I know.", ", roughly", "!",
    ". Can you tell the species?", ". It grew {n} m from the house.", ". There was no more time.", ". The rest is unknown.", ". That is what I read off.", "?",
    ". A snail ate the rest.", ", what could it be?", ". It rained.", ". What would you say?", "; nothing else was taken.",
)  # fmt: skip
SEPARATORS = (", ", "; ", " and ", ". ", "\n", ", and ", " / ", ", ")

CENTIMETRES = (" cm", " cm", " cm", "cm", "", "", " centimetres", " centimeters")
UNITS = (*CENTIMETRES, " mm", "mm")

SINGLES = (
    "{part} {side} {v}{u}",
    "{part} {side}: {v}{u}",
    "{part} {side} = {v}{u}",
    "{part} {side} is {v}{u}",
    "{part} {side} of {v}{u}",
    "a {part} {side} of {v}{u}",
    "{side} of the {part} {v}{u}",
    "the {part} {side} is about {v}{u}",
    "{v}{u} {part} {side}",
    "{v}{u} for the {part} {side}",
    "{part}s {v}{u} {wise}",
    "{part}s are {v}{u} {wise}",
    "the {part} is {v}{u} {wise}",
    "{v}{u} {wise} {part}s",
    "{part}_{side}={v}{u}",
    "{part}_{side}: {v}{u}",
    "{side} ({part}) {v}{u}",
    "{part}-{side} {v}{u}",
    "its {part} {side} is {v}{u}",
    "{part} {side} comes to {v}{u}",
    "{v}{u} in {part} {side}",
    "I get {v}{u} for the {side} of the {part}",
    "the {side} of each {part} is {v}{u}",
    "{part} {side} measured: {v}{u}",
    "{side} of {part}s: {v}{u}",
    "a {part} that is {v}{u} {wise}",
    "one {part} was {v}{u} {wise}",
    "{part} {v}{u} {wise}",
    "{part} {side} - {v}{u}",
    "as for the {part}, its {side} is {v}{u}",
    "{v}{u} is the {side} of the {part}",
    "the {part}'s {side} was {v}{u}",
)
PAIRS = (
    "{part}s {l} by {w}{u}",
    "{part}s about {l} by {w}{u}",
    "{part} {l} x {w}{u}",
    "{part} {l}{u} x {w}{u}",
    "{l} x {w}{u} for the {part}",
    "{l} by {w}{u} ({part})",
    "{part}s are {l}{u} long and {w}{u} wide",
    "{part}s are {w}{u} wide and {l}{u} long",
    "the {part} measures {l} by {w}{u}",
    "{part}: {l}{u} long, {w}{u} wide",
    "{part}: {w}{u} wide, {l}{u} long",
    "{part} length {l}{u}, width {w}{u}",
    "{part} width {w}{u}, length {l}{u}",
    "{part} length and width {l} and {w}{u}",
    "{part} width and length {w} and {l}{u}",
    "{l}{u} long and {w}{u} wide {part}s",
    "{part}s of {l} by {w}{u}",
    "{part}s {l}/{w}{u}",
    "{part}s measuring {l}{u} in length and {w}{u} in width",
    "a {part} of {l}{u} by {w}{u}",
    "the {part}s: {l} x {w}{u}",
    "a {l} by {w}{u} {part}",
    "{part} size {l} x {w}{u}",
    "{l}{u} is how long the {part} is, {w}{u} how wide",
    "the length and the width of the {part} are {l}{u} and {w}{u}",
    "for the {part} I have {l}{u} in length, {w}{u} in width",
    "the {part}s have a length of {l}{u} and a width of {w}{u}",
    "the {part}s have a width of {w}{u} and a length of {l}{u}",
    "each {part} is {l}{u} long; each is {w}{u} wide",
    "{part} ({l} by {w}{u})",
    "{part} l {l}{u} w {w}{u}",
    "long {part}s of {l}{u}, {w}{u} in width",
    "{part}: length={l}{u} width={w}{u}",
    "the {part} was {w}{u} in width and {l}{u} in length",
    "the {part} is {l}{u} long, its width is {w}{u}",
    "the {part} is {w}{u} wide, its length is {l}{u}",
)
ABSENT = (
    "{part} {side} unknown",
    "{part} {side} not measured",
    "no {part} {side}",
    "the {part} {side} is missing",
    "{part} {side}: ?",
    "could not measure the {part} {side}",
    "{part} {side} n/a",
    "I have no {part}s to measure",
    "I did not look at the {part} {side}",
    "the {part}s are gone",
    "nothing on the {part} {side}",
    "{part} {side} null",
)
WISE = {"length": "long", "width": "wide"}
NAMES = (
    "{part} {side}",
    "{part} {side}",
    "{side} of the {part}",
    "{part}'s {side}",
    "{part}_{side}",
    "{part}-{side}",
    "{side} of its {part}s",
)


def draw(rng: Random) -> tuple[str, dict[str, str]]:
    """A text, and the values in cm by feature, as printed there or ten times smaller where it says mm."""
    figures: dict[str, str] = {}
    common = rng.choice(UNITS)
    mixed = "mm" not in common and chance(rng, 0.5)
    pieces = []
    for part in rng.sample(("sepal", "petal"), 2):
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
    length, figures[f"{part}_length"] = measure(rng, unit)
    width, figures[f"{part}_width"] = measure(rng, unit)
    return rng.choice(PAIRS).format(part=part, l=length, w=width, u=unit)


def _single(rng: Random, part: str, side: str, unit: str, figures: dict[str, str]) -> str:
    if chance(rng, 0.12):
        return rng.choice(ABSENT).format(part=part, side=side)
    value, figures[f"{part}_{side}"] = measure(rng, unit)
    if chance(rng, 0.35):
        return any_texts.say(rng, rng.choice(NAMES).format(part=part, side=side), f"{value}{unit}")
    return rng.choice(SINGLES).format(part=part, side=side, wise=WISE[side], v=value, u=unit)
