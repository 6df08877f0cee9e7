"""What Tandem says to a language model: the one place where serving, training and evaluation take it from.

The wording is short, since the embedded model is trained on exactly this, and complete, since any general
instruct model must be able to follow it as well.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, TypedDict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from models.attribution import RankedAttribution
    from models.spec import Feature, ModelSpec

    Messages = list[dict[str, str]]
    """Chat messages in OpenAI's form: `role` and `content`."""


class Decoding(TypedDict):
    """How the answer is drawn: arguments of a chat completion."""

    temperature: float
    max_tokens: int


EXPLAIN_DECODING: Final = Decoding(temperature=0.0, max_tokens=192)
EXTRACT_DECODING: Final = Decoding(temperature=0.0, max_tokens=512)
ANSWER_DECODING: Final = Decoding(temperature=0.0, max_tokens=192)

TOP_FEATURES: Final = 4
"""Most attributions that an explanation is given; the rest are too weak to be worth a word."""

EXPLAIN_SYSTEM: Final = (
    "Explain the prediction in one to three sentences: the label, the probability as printed, "
    "and what speaks for and against it. Use only these facts."
)


def explain_messages(spec: ModelSpec, label: str, probability: float, ranked: Sequence[RankedAttribution]) -> Messages:
    """Ask for an explanation of one prediction.

    `ranked` is in the order of `models.attribution.rank`, the strongest first; `probability` is that of `label`, 0 to 1.
    """
    facts = prediction_facts(spec.name, label, percent(probability), [attribution_clause(line) for line in ranked])
    return [{"role": "system", "content": EXPLAIN_SYSTEM}, {"role": "user", "content": facts}]


def prediction_facts(model: str, label: str, probability: str, ranked: Sequence[str]) -> str:
    """The facts of a prediction, as an explanation is given them; `ranked` holds clauses from `clause`."""
    features = [f"- {one}" for one in ranked[:TOP_FEATURES]]
    head = [f"Model: {model}", f"Label: {label}", f"Probability: {probability}", "Features, strongest first:"]
    return "\n".join(head + features)


def attribution_clause(line: RankedAttribution) -> str:
    """An attribution in words, such as "petal length (1.4 cm) speaks for it"."""
    if line.value is None:
        return clause(f"the {line.feature} region", None, supports=line.contribution >= 0)
    name, value = feature_words(line.feature, line.value, line.unit)
    return clause(name, value, supports=line.contribution >= 0)


def clause(name: str, value: str | None, *, supports: bool) -> str:
    """Say which way a feature pushed, in words that an explanation can take over as they stand."""
    return f"{name if value is None else f'{name} ({value})'} speaks {'for' if supports else 'against'} it"


def feature_words(name: str, value: float, unit: str | None) -> tuple[str, str]:
    """A feature and its value in words: "petal length" and "1.4 cm". A unit that ends the name is not said twice."""
    words = name.replace("_", " ")
    if unit is None:
        return words, number(value)
    return words.removesuffix(f" {unit}"), f"{number(value)} {unit}"


def percent(probability: float) -> str:
    """A probability (0 to 1) as it is printed, such as "97.3 %"."""
    return f"{100 * probability:.1f} %"


def number(value: float) -> str:
    """A value to seven significant digits, as many as float32 holds, with no exponent and no trailing zeros."""
    digits = format(Decimal(f"{value:.7g}"), "f")
    return digits.rstrip("0").rstrip(".") if "." in digits else digits


def extract_messages(spec: ModelSpec, text: str) -> Messages:
    """Ask for the features of `spec` that a free text gives."""
    return extract_messages_of(spec.features, text)


def extract_messages_of(features: Sequence[Feature], text: str) -> Messages:
    """The same from the features alone, for those who have no trained model at hand."""
    keys = ", ".join(
        feature.name if feature.unit is None else f"{feature.name} ({feature.unit})" for feature in features
    )
    system = (
        f"Answer with one JSON object and nothing else. Keys, in this order: {keys}. "
        "Each value is a number from the text, or null where the text does not say."
    )
    return [{"role": "system", "content": system}, {"role": "user", "content": text}]


def extract_schema(spec: ModelSpec) -> dict[str, Any]:
    """JSON schema of the answer to `extract_messages`: every feature, a number or null."""
    return extract_schema_of(spec.features)


def extract_schema_of(features: Sequence[Feature]) -> dict[str, Any]:
    """The same from the features alone."""
    return {
        "type": "object",
        "properties": {feature.name: {"type": ["number", "null"]} for feature in features},
        "required": [feature.name for feature in features],
        "additionalProperties": False,
    }


def answer_messages(question: str) -> Messages:
    """Ask a question, about Tandem or anything else."""
    return [{"role": "user", "content": question}]
