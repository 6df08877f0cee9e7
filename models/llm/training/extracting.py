"""Examples of task 2: features read from free text into JSON, for the iris and fraud models, and for made-up ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.classifiers import fraud, iris
from models.llm import prompts
from models.llm.training import any_texts, iris_texts, payment_texts
from models.llm.training.copying import json_number
from models.llm.training.dialogue import Dialogue, chance

if TYPE_CHECKING:
    from collections.abc import Mapping
    from random import Random

    from models.spec import Feature


def extracting(rng: Random) -> Dialogue:
    """One text about a flower, a payment or anything else, and the JSON that it gives."""
    if chance(rng, 0.2):
        features = any_texts.features(rng)
        return extraction(features, *any_texts.draw(rng, features))
    if chance(rng, 0.4):
        text, figures = iris_texts.draw(rng)
        return extraction(iris.FEATURES, text, figures)
    text, figures = payment_texts.draw(rng)
    return extraction(fraud.FEATURES, text, figures)


def extraction(features: tuple[Feature, ...], text: str, figures: Mapping[str, str]) -> Dialogue:
    """The dialogue for a text that gives `figures`, as printed, by feature; what it does not give is null.

    The JSON has no spaces, as vLLM writes it for the embedded model where a schema is given.
    """
    answer = ",".join(
        f'"{feature.name}":{json_number(figures[feature.name]) if feature.name in figures else "null"}'
        for feature in features
    )
    return Dialogue("extract", prompts.extract_messages_of(features, text), f"{{{answer}}}")
