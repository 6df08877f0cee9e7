"""Answers of Tandem's own API, in structs made for each model: they are built and encoded at a fraction of a dict's cost."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from models.spec import ModelSpec
    from services.gateway.dataplane import Probabilities
    from services.gateway.explaining import Explanation

_MANY = 16
"""Rows from which numpy finds the likeliest labels sooner than Python does."""


class Prediction(msgspec.Struct, gc=False):
    """What a model says of one row."""

    label: str
    probabilities: Any
    """One field a label."""


class Classified(msgspec.Struct, gc=False):
    """The body that answers `POST /classify`."""

    model: str
    version: str
    predictions: list[Prediction]


def classified(spec: ModelSpec, answers: Sequence[Probabilities]) -> Classified:
    """The answer for rows with these probabilities."""
    labels = spec.labels
    probabilities = _probabilities_type(labels)
    if len(answers) < _MANY:
        predictions = [Prediction(labels[answer.index(max(answer))], probabilities(*answer)) for answer in answers]
    else:
        winners = np.argmax(np.array(answers), axis=1).tolist()
        predictions = [
            Prediction(labels[winner], probabilities(*answer)) for winner, answer in zip(winners, answers, strict=True)
        ]
    return Classified(spec.name, spec.version, predictions)


@lru_cache(maxsize=256)
def _probabilities_type(labels: tuple[str, ...]) -> Callable[..., Any]:
    """A struct with one number a label; its fields have made-up names, for a label may be nearly any text."""
    if any(not label.isprintable() or '"' in label or "\\" in label for label in labels):
        return lambda *values: dict(zip(labels, values, strict=True))  # msgspec cannot name a field so
    fields = [f"label_{index}" for index in range(len(labels))]
    renamed = dict(zip(fields, labels, strict=True))
    return msgspec.defstruct("Probabilities", [(field, float) for field in fields], rename=renamed, gc=False)


def explained(explanation: Explanation) -> dict[str, Any]:
    """The body that answers `POST /explain`."""
    attributed = explanation.attributed
    attributions = attributed.attributions
    return {
        "model": attributed.spec.name,
        "version": attributed.spec.version,
        "prediction": {"label": attributed.label, "probabilities": attributed.probabilities},
        "attributions": [
            {"feature": line.feature, "value": line.value, "unit": line.unit, "contribution": line.contribution}
            for line in attributed.ranked
        ],
        "method": attributions.method,
        "space": attributions.space,
        "baseline": attributions.baseline,
        "output": attributions.output,
        "explanation": explanation.text,
        "reason": explanation.reason,
    }
