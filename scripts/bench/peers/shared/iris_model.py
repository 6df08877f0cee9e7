"""The model that every peer serves: scikit-learn's standardised logistic regression on iris.

Fitted when the server starts (a few milliseconds, always the same figures), so no pickle has to fit the versions
of eight environments. `BENCH_ENGINE=bare` replaces scikit-learn's `predict_proba` by the same arithmetic in five
lines of numpy, which shows a server's own cost.
"""

from __future__ import annotations

import os

import numpy as np

FEATURES = ("sepal_length", "sepal_width", "petal_length", "petal_width")
LABELS = ("setosa", "versicolor", "virginica")


class IrisModel:
    """Class probabilities of iris flowers."""

    def __init__(self):
        from sklearn.datasets import load_iris
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        data = load_iris()
        self._pipeline = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
        self._pipeline.fit(data.data, data.target)
        scaler, regression = self._pipeline[0], self._pipeline[-1]
        weights = regression.coef_ / scaler.scale_
        self._weights = np.ascontiguousarray(weights.T)
        self._bias = regression.intercept_ - weights @ scaler.mean_
        self._bare = os.environ.get("BENCH_ENGINE") == "bare"

    def probabilities(self, rows):
        """Probabilities, shape (rows, 3), of feature rows, shape (rows, 4)."""
        if not self._bare:
            return self._pipeline.predict_proba(rows)
        scores = rows @ self._weights + self._bias
        scores -= scores.max(axis=1, keepdims=True)
        np.exp(scores, out=scores)
        scores /= scores.sum(axis=1, keepdims=True)
        return scores


def predictions(probabilities):
    """One JSON-ready prediction a row."""
    best = probabilities.argmax(axis=1).tolist()
    return [
        {"label": LABELS[winner], "probabilities": dict(zip(LABELS, row, strict=True))}
        for winner, row in zip(best, probabilities.tolist(), strict=True)
    ]
