"""Examples of task 1: a prediction explained in one to three sentences.

Some ask as `prompts.explain_messages` does; the rest state the same facts in other ways, most of them composed by
`explaining_grammar`, so that a person may too. The answer is always worded alike: it is a function of the facts, which is what makes it learnable and checkable.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.classifiers import digits, fraud, iris
from models.llm import prompts
from models.llm.training.copying import figure
from models.llm.training.dialogue import Dialogue, casual, chance, typos
from models.llm.training.explaining_frames import DIRECTIONS, FRAMES, LISTS
from models.llm.training.explaining_grammar import composed_frame, composed_list
from models.llm.training.reasons import Prediction, Reason
from models.llm.training.words import LABEL_WORDS, MODELS, NAMES, QUALIFIERS, UNITS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random

    from models.llm.prompts import Messages
    from models.spec import Feature


SURENESS = ((95.0, "very sure"), (80.0, "fairly sure"), (60.0, "not very sure"), (0.0, "unsure"))
"""From which probability, in percent, the model counts as how sure."""


def explanation(prediction: Prediction) -> str:
    """The explanation that the embedded model is trained to give."""
    percent = float(prediction.probability.rstrip(" %"))
    sure = next(words for least, words in SURENESS if percent >= least)
    first, *others = (reason.clause for reason in prediction.reasons)
    text = (
        f"The {prediction.model} model predicts {prediction.label} with a probability of {prediction.probability}, "
        f"so it is {sure}. Most of all, {first}."
    )
    return f"{text} Then {_listed(others)}." if others else text


def _listed(items: Sequence[str]) -> str:
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"


def predictions(rng: Random) -> Prediction:
    """A prediction of one of the three models, or of one that does not exist."""
    return prediction_of(rng, rng.choices(("iris", "fraud", "digits", "made up"), (0.25, 0.25, 0.2, 0.3))[0])


def prediction_of(rng: Random, model: str) -> Prediction:
    """A prediction of the model "iris", "fraud" or "digits"; any other name makes one up."""
    if model == "iris":
        return _known(rng, model, iris.LABELS, iris.FEATURES)
    if model == "fraud":
        return _known(rng, model, fraud.LABELS, fraud.FEATURES)
    if model == "digits":
        return _known(rng, model, digits.LABELS, digits.FEATURES)
    return _made_up(rng)


def _known(rng: Random, model: str, labels: Sequence[str], features: Sequence[Feature]) -> Prediction:
    by_name = {feature.region or feature.name: feature for feature in features}
    chosen = rng.sample(sorted(by_name), min(_reason_count(rng), len(by_name)))
    reasons = tuple(_reason(rng, name, by_name[name]) for name in chosen)
    return Prediction(model, rng.choice(labels), probability(rng), reasons)


def _reason(rng: Random, name: str, feature: Feature) -> Reason:
    supports = chance(rng, 0.5)
    if feature.region is not None:
        return Reason(f"the {name} region", None, supports)
    words, value = prompts.feature_words(feature.name, feature_value(rng, feature), feature.unit)
    return Reason(words, value, supports)


def feature_value(rng: Random, feature: Feature) -> float:
    """A value that the feature could have, with the digits that such values are printed with."""
    if feature.name in _WHOLE:
        return float(rng.randrange(rng.choice(_WHOLE[feature.name])))
    bounds, decimals = _DECIMAL.get(feature.name, ((8,), 1 if chance(rng, 0.85) else 2))
    return float(round(rng.random() * rng.choice(bounds), decimals))


_WHOLE = {
    "card_present": (2,),
    "foreign": (2,),
    "hour": (24,),
    "payments_last_hour": (2, 4, 12),
    "declined_last_day": (2, 4, 12),
    "minutes_since_last": (100, 1000, 10_000),
    "account_age_days": (100, 1000, 10_000),
}
"""Features that are whole numbers, and the bounds below which they are drawn."""
_DECIMAL = {
    "amount": ((10, 100, 1000, 10_000), 2),
    "amount_vs_usual": ((10, 100), 2),
    "distance_from_home_km": ((10, 100, 1000, 10_000), 1),
    "merchant_risk": ((1,), 2),
}
"""The same for those with decimals, and how many; any other is a length in cm."""


def _made_up(rng: Random) -> Prediction:
    names = rng.sample(NAMES, _reason_count(rng))
    reasons = []
    for name in names:
        words = f"{rng.choice(QUALIFIERS)} {name}" if chance(rng, 0.6) else name
        value = figure(rng) + (f" {rng.choice(UNITS)}" if chance(rng, 0.7) else "")
        reasons.append(Reason(words, value, chance(rng, 0.5)))
    label = rng.choice(LABEL_WORDS) if chance(rng, 0.8) else str(rng.randrange(20))
    return Prediction(rng.choice(MODELS), label, probability(rng), tuple(reasons))


def _reason_count(rng: Random) -> int:
    return rng.choice((1, 2, 3, 4, 4, 4, 4, 4))


def probability(rng: Random) -> str:
    """A probability as printed; sure predictions are the usual ones."""
    return prompts.percent(1 - rng.random() ** 2 * 0.7)


def explaining(rng: Random) -> Dialogue:
    """One explanation asked for, in Tandem's own words or in a person's."""
    prediction = predictions(rng)
    if chance(rng, 0.3):
        messages = tandem_messages(prediction)
    else:
        known = chance(rng, 0.25)
        asked = asked_freely(rng, prediction, FRAMES, DIRECTIONS, LISTS) if known else asked_anew(rng, prediction)
        messages = [{"role": "user", "content": asked}]
        if chance(rng, 0.5):
            messages.insert(0, {"role": "system", "content": prompts.EXPLAIN_SYSTEM})
    return Dialogue("explain", messages, explanation(prediction))


def tandem_messages(prediction: Prediction) -> Messages:
    """The prompt that `prompts.explain_messages` makes of such a prediction."""
    clauses = [reason.clause for reason in prediction.reasons]
    facts = prompts.prediction_facts(prediction.model, prediction.label, prediction.probability, clauses)
    return [{"role": "system", "content": prompts.EXPLAIN_SYSTEM}, {"role": "user", "content": facts}]


def asked_freely(
    rng: Random,
    prediction: Prediction,
    frames: Sequence[str],
    directions: Sequence[tuple[str, str]],
    lists: Sequence[tuple[str, str]],
) -> str:
    """The facts in one of `frames`, with one of the pairs of words for and against, listed in one of the ways."""
    reasons = listed_freely(rng, prediction.reasons, directions, lists)
    return _filled(rng, prediction, frames, reasons)


def _filled(rng: Random, prediction: Prediction, frames: Sequence[str], reasons: str) -> str:
    probability = prediction.probability if chance(rng, 0.6) else prediction.probability.replace(" ", "")
    frame = typos(rng, rng.choice(frames), 0.06)
    return casual(rng, frame).format(
        model=prediction.model, label=prediction.label, probability=probability, reasons=reasons
    )


def asked_anew(rng: Random, prediction: Prediction) -> str:
    """The facts in a frame and a list that are composed for this one prompt."""
    frame = composed_frame(rng, digit=prediction.model == "digits")
    return _filled(rng, prediction, (frame,), composed_list(rng, prediction.reasons))


def listed_freely(
    rng: Random,
    reasons: Sequence[Reason],
    directions: Sequence[tuple[str, str]],
    lists: Sequence[tuple[str, str]],
) -> str:
    """The reasons in one of the ways to list them, with one of the pairs of words for and against."""
    supports, opposes = rng.choice(directions)
    item, joint = rng.choice(lists)
    return joint.join(
        (item if reason.value else item.replace(" ({value})", "").replace(" {value}", "")).format(
            name=reason.name,
            value=reason.value,
            equation=reason.equation,
            direction=supports if reason.supports else opposes,
        )
        for reason in reasons
    )


def directing(rng: Random) -> Dialogue:
    """A step towards explaining: short lists of features with a word each, said again as clauses.

    Directions are slow to learn, being one word of two in a long answer that is right without them; so half of these
    tasks put other words in their place, where guessing does not pay.
    """
    names = rng.sample(NAMES, rng.randint(3, 8))
    plain = chance(rng, 0.4)
    words = DIRECTION_WORDS if plain else LABEL_WORDS
    values = [figure(rng) if chance(rng, 0.5) else None for _ in names] if chance(rng, 0.3) else [None] * len(names)
    items = [(_with_value(name, value), rng.choice(words)) for name, value in zip(names, values, strict=True)]
    given = rng.choice((", ", "; ", "\n", "\n- ", " and ")).join(
        rng.choice(_CLAUSES).format(name, word) for name, word in items
    )
    kind = rng.choices(("again", "order", "one"), (0.5, 0.4, 0.1))[0]
    if kind == "order":
        rng.shuffle(items)
        order = ", ".join(name for name, _ in items)
        return _copy(
            f"Which way in the order {order}: {given}", ", ".join(map("{0[0]} speaks {0[1]} it".format, items))
        )
    if kind == "one":
        name, word = rng.choice(items)
        return _copy(f"Which way is {name}: {given}", f"{name} speaks {word} it")
    if plain and chance(rng, 0.7):
        reasons = [Reason(name, value, chance(rng, 0.5)) for name, value in zip(names, values, strict=True)]
        listed = composed_list(rng, reasons) if chance(rng, 0.75) else listed_freely(rng, reasons, DIRECTIONS, LISTS)
        return _copy(f"Which way: {listed}", ", ".join(reason.clause for reason in reasons))
    return _copy(f"Which way: {given}", ", ".join(map("{0[0]} speaks {0[1]} it".format, items)))


def _with_value(name: str, value: str | None) -> str:
    return name if value is None else f"{name} ({value})"


def _copy(asked: str, answer: str) -> Dialogue:
    return Dialogue("copy", [{"role": "user", "content": asked}], answer)


_CLAUSES = (*("{} speaks {} it",) * 6, "{} {}", "{}: {}")
DIRECTION_WORDS = ("for", "against")
