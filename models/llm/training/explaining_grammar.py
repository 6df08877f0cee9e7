"""Prompts for an explanation, composed: each part is drawn by itself and the parts stand in any order.

What a list of whole prompts teaches is that list. Here a label is found by what stands beside it, a direction by the
feature that it goes with, and common words in between say nothing.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from models.llm.training.dialogue import chance
from models.llm.training.words import CARRIERS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random

    from models.llm.training.reasons import Reason

# fmt: off
SIGNS = (
    ("+", "-"), ("+", "-"), ("+", "\u2212"), ("++", "--"), ("\u2191", "\u2193"),
)
WORDS = (
    ("for", "against"), ("pro", "contra"), ("pro", "con"), ("up", "down"), ("yes", "no"), ("higher", "lower"), ("more", "less"),
    ("positive", "negative"), ("plus", "minus"), ("in favour", "opposed"), ("favourable", "unfavourable"), ("helps", "hurts"),
    ("supporting", "opposing"), ("supportive", "contrary"), ("agrees", "disagrees"), ("towards", "away"), ("good", "bad"),
    ("for it", "against it"), ("supports", "opposes"), ("raises", "lowers"), ("increase", "decrease"), ("confirms", "contradicts"),
    ("evidence for", "evidence against"), ("argument for", "argument against"), ("FOR", "AGAINST"), ("positive effect", "negative effect"),
)
VERBS = (
    ("speaks for it", "speaks against it"), ("raises it", "lowers it"), ("supports it", "opposes it"), ("pushes it up", "pushes it down"),
    ("increases it", "decreases it"), ("argues for it", "argues against it"), ("favours it", "disfavours it"), ("backs it", "contradicts it"),
    ("pulls towards it", "pulls away from it"), ("strengthens it", "weakens it"), ("helps it", "hurts it"), ("adds to it", "takes from it"),
    ("counts for it", "counts against it"), ("is for it", "is against it"), ("makes it likelier", "makes it less likely"),
    ("points to it", "points away from it"), ("boosts it", "reduces it"), ("confirms it", "denies it"), ("agrees", "disagrees"),
    ("votes yes", "votes no"), ("drives it up", "drives it down"), ("is a plus", "is a minus"), ("tips the scale for it", "tips the scale against it"),
    ("works in favour", "works against"), ("encourages it", "discourages it"), ("lifts it", "drops it"), ("promotes it", "hinders it"),
)
NAMED = ("{equation}", "{equation}", "{equation}", "{name} ({value})", "{name} {value}", "{name}: {value}", "{name} of {value}", "{name} is {value}", "{name}={value}", "{name} at {value}", "{name} [{value}]")
"""A feature with its value; one without is its name alone."""
AFTER = (
    "{named} ({direction})", "{named}: {direction}", "{named} [{direction}]", "{named} {direction}", "{named} -> {direction}", "{named} => {direction}",
    "{named} | {direction}", "{named}, {direction}", "{named} - {direction}", "{named}\t{direction}", "{named} <{direction}>",
    "{named} '{direction}'", "{named} ... {direction}", "{named} ({direction}!)", "{named}: it {direction}",
)
BEFORE = (
    "{direction}: {named}", "{direction} {named}", "[{direction}] {named}", "{direction} - {named}", "{direction} -> {named}", "{direction} | {named}",
    "<{direction}> {named}", "'{direction}' {named}", "{direction}, {named}", "{direction} = {named}", "{direction}\t{named}", "{direction}/ {named}",
)
BETWEEN = (
    " ~ ", " :: ", " >> ", " \\ ", " _ ", " @ ", " # ", " * ", " ^ ", " .. ", "; ", " & ", " == ", " :- ", " ~> ", ", being ", ", that is ", " and it is ",
    ", so ", ", this is ", ", it is ", " which is ", ", thus ", ", hence ", "; effect ", ", effect: ", ", direction ", " as ", ", meaning ", ", a case of ", " to be read as ", ", marked ",
)
"""What may stand between a feature and its direction, whichever comes first; the rest of the list says which that is."""
SENTENCES = (
    "{named} {direction}", "the {named} {direction}", "{named} clearly {direction}", "with {named}, that {direction}", "{named}, and that {direction}",
    "there is {named}, it {direction}", "{named} also {direction}", "what {direction} is {named}",
)
SIGNED = ("{direction} {named}", "{direction}{named}", "{named} {direction}", "{named} ({direction})", "{named}: {direction}", "[{direction}] {named}", "{named} | {direction}", "{direction}: {named}")
MARKS = ("- ", "* ", "\u00bb ", "~ ", "o ", "| ", "** ", ">> ", "{n}: ", "{n} ", "\u2022 ", "{n}. ", "{n}) ", "#{n} ", "({n}) ", "no. {n}: ", "")
INLINE = ("\n", "\n", " // ", " ;; ", "\n\n", " & ", ", ", "; ", " / ", " and ", ". ", " | ", ", then ", "; then ", ", and ", " || ")

MODELS = (
    "model {model}", "the {model} model", "by {model}", "from {model}", "{model} classifier", "model: {model}", "model={model}", "the classifier {model}",
    "our {model} model", "model is {model}", "model called {model}", "Model = {model}", "source: {model}", "it is the {model} model", "model '{model}'",
)
LABELS = (
    "it wrote down {label}", "it came up with {label}", "it settled down on {label}", "it is for {label}", "marked up as {label}", "noted down as {label}", "what went down is {label}", "one more {label}",
    "label {label}", "label: {label}", "predicted {label}", "it says {label}", "prediction {label}", "class {label}", "answer: {label}", "result is {label}",
    "it chose {label}", "label={label}", "'{label}'", "it came out as {label}", "it went for {label}", "it called this {label}", "verdict: {label}",
    "outcome {label}", "output: {label}", "it picked {label}", "it voted {label}", "label is {label}", "prediction: {label}", "it thinks {label}",
    "predicted class: {label}", "it sees {label}", "it believes in {label}", "the label was {label}", "{label} was predicted", "{label} it is", "why {label}?",
)
DIGITS = ("digit {label}", "the digit {label}", "a {label}", "number {label}", "it read a {label}", "it saw the number {label}", "why a {label}?", "{label}", "handwritten {label}")
PROBABILITIES = (
    "{probability}", "probability {probability}", "({probability})", "with {probability}", "at {probability}", "p = {probability}", "p={probability}",
    "{probability} sure", "confidence {probability}", "probability: {probability}", "a probability of {probability}", "{probability} confident",
    "{probability} likely", "score {probability}", "a chance of {probability}", "certainty {probability}", "probability={probability}",
    "the probability is {probability}", "sureness {probability}", "it was {probability} certain", "likelihood: {probability}", "{probability} probability",
)
MODEL_LABELS = (
    "{model} wrote down {label}", "{model} came up with {label}", "the {model} model noted down {label}", "down as {label} by {model}", "{model} brought up {label}", "{label} was written down by {model}",
    "why the {model} model set down {label}", "{model} stood up for {label}", "{model} broke it down to {label}", "{model} is against all but {label}",
    "{model} says {label}", "{model} -> {label}", "{model}: {label}", "{model} predicted {label}", "{label} from {model}", "{label} by {model}",
    "{label} according to {model}", "the {model} model thinks {label}", "{model} model, {label}", "{model} / {label}", "{label} ({model})", "{model} = {label}",
    "{label} is what the {model} model says", "{model} chose {label}", "why did {model} say {label}?", "{label}, says {model},", "{model} returned {label}",
    "the {model} classifier went with {label}", "{model} answered {label}", "why does the {model} model see {label}?", "{label} was the answer of {model}",
)
LABEL_PROBABILITIES = (
    "{label} ({probability})", "{label} at {probability}", "{label} with {probability}", "{probability} for {label}", "{label}, {probability}",
    "{label}: {probability}", "{label} = {probability}", "{probability} on {label}", "{label} {probability}", "{label}={probability}", "{probability} says {label}",
    "label {label} with {probability}", "P({label}) = {probability}", "{label} [{probability}]", "{probability} probability of {label}",
)
ASKS = (
    "Somebody asks for a reason", "What is up with this?", "Break it down for me", "Write it up", "Set it down in words", "A client asks why, so here it goes",
    "Explain", "Why?", "Put it into words", "Explain this", "What does it mean?", "Say why", "Please explain", "Tell me why", "In words, please",
    "Describe it", "Make sense of this", "How come?", "Give the reasons", "A short explanation", "Interpret this", "Say it in plain English", "Explain it to me",
    "Can you explain?", "What happened here?", "I need an explanation", "Summarise", "Hi, why is this?", "Could you say what this means?",
)
INTROS = (
    "noted down: ", "more on it: ", "written up here: ", "down here: ", "for you: ", "so far this came up: ", "what went down: ", "I have this: ", "the reasons would be ",
    "reasons: ", "features: ", "because of ", "what counted: ", "", "", "", "top features: ", "due to: ", "attributions: ", "why: ", "evidence: ", "in order: ",
    "most important first: ", "factors: ", "contributions\n", "drivers: ", "ranked: ", "weights: ", "details:\n", "features\n", "the list: ", "effects: ", "inputs: ",
)
JOINTS = (", ", ", ", "; ", ". ", " ", "\n", " / ", " | ", " - ", " and ", ": ")
# fmt: on
_QUIET = tuple(
    word for word in CARRIERS if word not in {"for", "up", "over", "out", "right", "good", "yes", "top", "middle"}
)
"""Carriers that say neither for nor against, and are no part of a feature's name."""


def composed_frame(rng: Random, *, digit: bool) -> str:
    """A prompt with the fields model, label, probability and reasons, each of them once."""
    labels = (*DIGITS, *LABELS) if digit else LABELS
    kind = rng.randrange(3)
    if kind == 0:
        facts = [rng.choice(MODELS), rng.choice(labels), rng.choice(PROBABILITIES)]
    elif kind == 1:
        facts = [rng.choice(MODEL_LABELS), rng.choice(PROBABILITIES)]
    else:
        facts = [rng.choice(MODELS), rng.choice(LABEL_PROBABILITIES)]
    rng.shuffle(facts)
    joint = rng.choice(JOINTS) if chance(rng, 0.6) else None
    stated = "".join(f"{_carried(rng)}{fact}{joint or rng.choice(JOINTS)}" for fact in facts).rstrip(" ,;:-/|\n")
    stated = stated.removesuffix(" and")
    listed = f"{rng.choice(INTROS)}{{reasons}}"
    parts = [stated, listed] if chance(rng, 0.8) else [listed, stated]
    if chance(rng, 0.7):
        parts.insert(rng.choice((0, 0, len(parts))), rng.choice(ASKS))
    between = rng.choice((". ", ". ", "\n", "\n", "; ", ": ", " - ", "\n\n"))
    return between.join(part[:1].upper() + part[1:] if chance(rng, 0.5) else part for part in parts)


def _carried(rng: Random) -> str:
    count = rng.choice((0, 0, 0, 1, 2, 3))
    return "".join(f"{rng.choice(_QUIET)} " for _ in range(count))


def composed_list(rng: Random, reasons: Sequence[Reason]) -> str:
    """The reasons in their order, each with its direction, all in one form."""
    named = rng.choice(NAMED) if all(reason.value for reason in reasons) else "{equation}"
    kind = rng.choices(("table", "sign", "verb", "word"), (0.08, 0.2, 0.34, 0.38))[0]
    if kind == "table":
        return _table(rng, reasons)
    if kind == "sign":
        (supports, opposes), item = rng.choice(SIGNS), rng.choice(SIGNED)
    elif kind == "verb":
        (supports, opposes), item = rng.choice(VERBS), rng.choice((*SENTENCES, *AFTER, *BEFORE))
    else:
        (supports, opposes), item = rng.choice(WORDS), rng.choice((*AFTER[:-1], *BEFORE))
    if chance(rng, 0.4):
        sides = ["{named}", "{direction}"] if chance(rng, 0.6) else ["{direction}", "{named}"]
        item = rng.choice(BETWEEN).join(sides)
    marks = MARKS if kind != "sign" else ("", "{n}. ", "{n}) ")
    joint, mark = (rng.choice(INLINE), "") if chance(rng, 0.6) else ("\n", rng.choice(marks))
    if joint == "\n" and chance(rng, 0.15):
        joint = " "
        mark = rng.choice(("{n}. ", "{n}) ", "({n}) "))
    form = mark + item.replace("{named}", named)
    return joint.join(
        form.format(
            n=number,
            name=reason.name,
            value=reason.value,
            equation=reason.equation,
            direction=supports if reason.supports else opposes,
        )
        for number, reason in enumerate(reasons, 1)
    )


def _table(rng: Random, reasons: Sequence[Reason]) -> str:
    supports, opposes = rng.choice((*SIGNS[:2], *WORDS))
    rows = [(reason.name, reason.value, supports if reason.supports else opposes) for reason in reasons]
    if chance(rng, 0.4):
        feature, effect = rng.choice(("feature", "name", "f")), rng.choice(("effect", "direction", "sign", "impact"))
        return json.dumps(
            [
                {feature: name, **({"value": value} if value else {}), effect: direction}
                for name, value, direction in rows
            ],
            ensure_ascii=False,
        )
    joint = rng.choice((",", ";", "|", "\t"))
    turned = chance(rng, 0.4)
    cells = [[name, *([value] if value else []), direction] for name, value, direction in rows]
    return "\n".join(joint.join([row[-1], *row[:-1]] if turned else row) for row in cells)
