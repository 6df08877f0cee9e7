"""What engines for tables of features have in common: from what a library gives for rows to what is served."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from models.engines.shapley import sampled_shapley
from models.spec import ModelSpec, TensorSpec

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from models.spec import Attributions, Engine, Probabilities, Rows, TensorEngine, Tensors

    Scorer = Callable[[Rows], NDArray[Any]]
    """What a library gives for rows: the values for each, in one dimension or two."""

Meaning = Literal["probabilities", "scores", "second", "log-odds", "values"]
"""What a library's values are.

``probabilities``: one for each label. ``scores``: one for each label, their softmax are the probabilities. ``second``: the
probability of the second of two labels. ``log-odds``: of that label. ``values``: predictions of a model without labels.
"""

PREDICTION = "prediction"
"""Name of the output of a model that takes a table and has no labels."""

_OPTIONS_FILE = "table.json"
_ROUNDING = 1e-3


def write_meaning(folder: Path, meaning: Meaning) -> None:
    """Keep beside the weights what their values mean."""
    (folder / _OPTIONS_FILE).write_text(json.dumps({"values": meaning}) + "\n", encoding="utf-8")


def table_engine(spec: ModelSpec, folder: Path, score: Scorer) -> Engine | TensorEngine:
    """The engine of a model for which `score` is the library's part. Raises ValueError unless `write_meaning` was used."""
    meaning = json.loads((folder / _OPTIONS_FILE).read_bytes())["values"]
    if meaning not in get_args(Meaning):
        raise ValueError(f"values that mean {meaning!r}")
    return TableClassifier(spec, score, meaning) if spec.is_classifier else TableRegressor(spec, score)


def meaning_of(values: NDArray[Any], labels: int) -> Meaning:
    """What the values of a few rows must mean in a classifier of so many labels.

    Raises ValueError when they are not one value for each label, nor one for the second of two.
    """
    columns = 1 if values.ndim == 1 else values.shape[-1]
    between = bool(((values >= -_ROUNDING) & (values <= 1 + _ROUNDING)).all())
    if columns == labels and values.ndim == 2:  # noqa: PLR2004 - a table
        sums = values.sum(axis=1)
        return "probabilities" if between and bool((abs(sums - 1) < _ROUNDING).all()) else "scores"
    if columns == 1 and labels == 2:  # noqa: PLR2004 - two labels need one value
        return "second" if between else "log-odds"
    raise ValueError(f"{columns} value{'s' if columns != 1 else ''} a row for {labels} labels")


def to_probabilities(values: NDArray[Any], meaning: Meaning) -> Probabilities:
    """Probabilities of shape (rows, labels)."""
    if meaning == "probabilities":
        return np.ascontiguousarray(values, np.float32)
    if meaning == "scores":
        scores = values.astype(np.float64)
        scores -= scores.max(axis=1, keepdims=True)
        np.exp(scores, out=scores)
        scores /= scores.sum(axis=1, keepdims=True)
        return scores.astype(np.float32)
    second = values.reshape(len(values)).astype(np.float64)
    if meaning == "log-odds":
        second = 0.5 + 0.5 * np.tanh(0.5 * second)  # tanh cannot overflow, unlike exp
    return np.stack([1 - second, second], axis=1).astype(np.float32)


class TableClassifier:
    """An `Engine` over a library that scores rows."""

    def __init__(self, spec: ModelSpec, score: Scorer, meaning: Meaning) -> None:
        self.spec = spec
        self._score = score
        self._meaning = meaning

    def predict(self, rows: Rows) -> Probabilities:
        """Probabilities of shape (rows, labels)."""
        if not len(rows):
            return np.empty((0, len(self.spec.labels)), np.float32)
        return to_probabilities(self._score(rows), self._meaning)

    def attribute(self, row: Rows) -> Attributions:
        """Shapley values by sampling, for any model: how far each feature moves the probability of the predicted label."""
        return sampled_shapley(self.spec, self.predict, row)


class TableRegressor:
    """A `TensorEngine` over a library that predicts values for rows."""

    def __init__(self, spec: ModelSpec, score: Scorer) -> None:
        self.spec = spec
        self._score = score
        self._shape = spec.outputs[0].shape[1:]

    def infer(self, tensors: Tensors) -> dict[str, NDArray[Any]]:
        """The prediction for each row of `features`."""
        rows = tensors["features"]
        values = self._score(rows) if len(rows) else np.empty((0, *self._shape))
        return {PREDICTION: np.ascontiguousarray(values, np.float32).reshape(len(rows), *self._shape)}


def table_tensors(width: int, labels: int, values: int) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
    """Inputs and outputs of a model of `width` features: with `labels`, or else with `values` predictions a row."""
    inputs = (TensorSpec(name="features", datatype="FP32", shape=(-1, width)),)
    if not labels:
        shape = (-1,) if values == 1 else (-1, values)
        return inputs, (TensorSpec(name=PREDICTION, datatype="FP32", shape=shape),)
    return inputs, (
        TensorSpec(name="label", datatype="BYTES", shape=(-1,)),
        TensorSpec(name="probabilities", datatype="FP32", shape=(-1, labels)),
    )
