"""Irises to train on, and what a stored model says of them."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.datasets import load_iris

from models import store

DATA, TRUTH = load_iris(return_X_y=True)
ROWS = DATA.astype(np.float32)
NAMES = ("sepal_length", "sepal_width", "petal_length", "petal_width")
LABELS = ("setosa", "versicolor", "virginica")
NAMED = np.array(LABELS)[TRUTH]


def probabilities(name: str, rows: Any = ROWS) -> Any:
    return store.load_classifier(name).predict(np.asarray(rows, np.float32))
