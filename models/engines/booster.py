"""Any XGBoost model, run by XGBoost itself; two-label trees have a faster engine in `models.engines.trees`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from models.engines.table import TableClassifier, table_engine, write_meaning
from models.spec import Attributions

if TYPE_CHECKING:
    from pathlib import Path

    import xgboost
    from numpy.typing import NDArray

    from models.engines.table import Meaning
    from models.spec import Engine, ModelSpec, Rows, TensorEngine

BOOSTER_FILE = "booster.ubj"

_MEANINGS: dict[str, Meaning] = {
    "binary:logistic": "log-odds",
    "binary:logitraw": "log-odds",
    "multi:softprob": "scores",
    "multi:softmax": "scores",
}


def objective(booster: xgboost.Booster) -> str:
    """What it was trained for, such as "binary:logistic"."""
    return str(json.loads(booster.save_config())["learner"]["objective"]["name"])


def meaning(name: str) -> Meaning:
    """What the margins of a booster with this objective mean; "values" for one that has no labels."""
    return _MEANINGS.get(name, "values")


def write(folder: Path, booster: xgboost.Booster) -> None:
    """Store a booster."""
    booster.save_model(folder / BOOSTER_FILE)
    write_meaning(folder, meaning(objective(booster)))


def load(spec: ModelSpec, folder: Path, threads: int) -> Engine | TensorEngine:
    """Load what `write` stored."""
    import xgboost

    booster = xgboost.Booster(model_file=folder / BOOSTER_FILE)
    booster.set_param({"nthread": threads})
    kind = "margin" if spec.is_classifier else "value"

    def score(rows: Rows) -> NDArray[Any]:
        values: NDArray[Any] = booster.inplace_predict(rows, predict_type=kind)
        return values

    engine = table_engine(spec, folder, score)
    return BoosterClassifier(engine, booster, threads) if isinstance(engine, TableClassifier) else engine


class BoosterClassifier:
    """An `Engine` with TreeSHAP for its attributions."""

    def __init__(self, table: TableClassifier, booster: xgboost.Booster, threads: int) -> None:
        self.spec = table.spec
        self.predict = table.predict
        self._table = table
        self._booster = booster
        self._threads = threads

    def attribute(self, row: Rows) -> Attributions:
        """TreeSHAP by XGBoost, in log-odds for two labels and in the label's own score for more."""
        import xgboost

        label = int(self.predict(row)[0].argmax())
        matrix = xgboost.DMatrix(row, nthread=self._threads)
        # One vector a class where there are several, one for the second label where there are two.
        shares = self._booster.predict(matrix, pred_contribs=True)[0].astype(np.float64)
        margins = np.atleast_1d(self._booster.predict(matrix, output_margin=True)[0]).astype(np.float64)
        two = shares.ndim == 1
        sign = -1.0 if two and not label else 1.0
        mine = shares if two else shares[label]
        return Attributions(
            label=self.spec.labels[label],
            space="log-odds" if two else "logit",
            method="treeshap",
            baseline=sign * float(mine[-1]),
            output=sign * float(margins[0 if two else label]),
            contributions=tuple((sign * mine[:-1]).tolist()),
        )
