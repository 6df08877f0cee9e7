"""A linear classifier: class scores are an affine map of the features, probabilities their softmax.

It is written in numpy because that is where the time goes for so small a model: scikit-learn's ``predict_proba``
takes 180 microseconds a call for checks around the same two formulas (see ``scripts/bench_engines.py``).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np

from models.spec import Attributions

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from models.spec import ModelSpec, Probabilities, Rows

WEIGHTS_FILE = "linear.json"


def write(
    folder: Path, coefficients: NDArray[np.float64], intercept: NDArray[np.float64], mean: NDArray[np.float64]
) -> None:
    """Store the map.

    Args:
        folder: where to.
        coefficients: shape (labels, features), in the features' own units.
        intercept: shape (labels,).
        mean: shape (features,), the row that attributions start from.

    """
    weights = {"coefficients": coefficients.tolist(), "intercept": intercept.tolist(), "mean": mean.tolist()}
    (folder / WEIGHTS_FILE).write_text(json.dumps(weights, indent=1) + "\n", encoding="utf-8")


def load(spec: ModelSpec, folder: Path, threads: int) -> LinearEngine:  # noqa: ARG001 - numpy's loops use one thread
    """Load what `write` stored."""
    weights = json.loads((folder / WEIGHTS_FILE).read_bytes())
    return LinearEngine(
        spec, *(np.array(weights[key], dtype=np.float64) for key in ("coefficients", "intercept", "mean"))
    )


class LinearEngine:
    """See the module. Predictions and attributions may run at once, in two threads."""

    def __init__(
        self,
        spec: ModelSpec,
        coefficients: NDArray[np.float64],
        intercept: NDArray[np.float64],
        mean: NDArray[np.float64],
    ) -> None:
        if coefficients.shape != (len(spec.labels), len(spec.features)):
            raise ValueError(f"coefficients have the shape {coefficients.shape}")
        self.spec = spec
        self._coefficients = coefficients
        self._mean = mean
        self._baseline = coefficients @ mean + intercept
        self._columns = np.ascontiguousarray(coefficients.T)[:, :, None]
        self._intercept = intercept[:, None]

    def predict(self, rows: Rows) -> Probabilities:
        """Probabilities of shape (rows, labels).

        Every step is elementwise over the rows, with features and labels added up one after the other. A matrix
        product would pick its order of additions by the number of rows, and a row's answer would depend on it.
        """
        scores = self._scores(rows)
        scores -= np.maximum.reduce(scores)
        np.exp(scores, out=scores)
        scores /= np.add.reduce(scores)
        return scores.T.astype(np.float32, order="C")

    def attribute(self, row: Rows) -> Attributions:
        """Exact: each feature's coefficient times its distance from the training mean, in the score of the label."""
        scores = self._scores(row)[:, 0]
        label = int(scores.argmax())
        contributions = self._coefficients[label] * (row[0].astype(np.float64) - self._mean)
        return Attributions(
            label=self.spec.labels[label],
            space="logit",
            method="linear",
            baseline=float(self._baseline[label]),
            output=float(scores[label]),
            contributions=tuple(contributions.tolist()),
        )

    def _scores(self, rows: Rows) -> NDArray[np.float64]:
        """Class scores, shape (labels, rows): with rows innermost, every step below is one long loop."""
        columns = rows.T.astype(np.float64, order="C")
        scores: NDArray[np.float64] = columns[0] * self._columns[0] + self._intercept
        for values, coefficients in zip(columns[1:], self._columns[1:], strict=True):
            scores += values * coefficients
        return scores
