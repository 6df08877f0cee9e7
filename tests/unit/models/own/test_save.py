"""What holds for every kind of model: it can be explained, and what cannot be served is refused in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
import xgboost
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from models import store
from models.errors import NotStored
from models.save import save
from tests.unit.models.own.irises import ROWS, TRUTH

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("home")


@pytest.mark.parametrize(
    ("name", "attributes", "classes"),
    [
        ("treeshap", {"n_estimators": 8}, 3),
        ("treeshap", {"n_estimators": 8, "booster": "dart"}, 2),
        ("shapley", None, 3),
    ],
)
def test_every_classifier_can_be_explained(name: str, attributes: dict[str, Any] | None, classes: int) -> None:
    some = classes > TRUTH
    model = LogisticRegression(max_iter=1000) if attributes is None else xgboost.XGBClassifier(**attributes)
    save(model.fit(ROWS[some], TRUTH[some]), name="mine", example=ROWS[some])
    engine = store.load_classifier("mine")
    for row in ROWS[some][::30].astype(np.float32):
        attributions = engine.attribute(row[None])
        assert name in attributions.method
        total = attributions.baseline + sum(attributions.contributions)
        assert total == pytest.approx(attributions.output, abs=1e-3)
        assert attributions.label == engine.spec.labels[int(engine.predict(row[None]).argmax())]
        assert attributions == engine.attribute(row[None])


@pytest.mark.parametrize(
    ("estimator", "options", "message"),
    [
        (LogisticRegression(), {"example": ROWS}, "not fitted yet"),
        (LogisticRegression().fit(ROWS[:, :1], TRUTH), {"name": "No Name"}, "cannot be a model's name"),
        (LogisticRegression().fit(ROWS[:, :1], TRUTH), {"example": ROWS}, "The number of features does not agree"),
        (LogisticRegression().fit(ROWS[:, :1], TRUTH), {"labels": ("a", "b")}, "3 classes apart; 2 labels"),
        (LogisticRegression().fit(ROWS[:, :1], TRUTH), {"labels": ("a", "b", "a")}, "a label is there twice"),
        (LogisticRegression().fit(ROWS[:, :2], TRUTH), {"feature_names": ("a", "a")}, "a name of its own"),
        (LogisticRegression().fit(ROWS[:, :1], TRUTH), {"example": [["a"]]}, "a table of numbers"),
        (LogisticRegression().fit(ROWS[:, :1], TRUTH), {"example": np.zeros((0, 1))}, "rows of numbers"),
        (StandardScaler().fit(ROWS), {}, "has no method `predict`"),
        (xgboost.XGBClassifier(), {}, "not fitted yet"),
        (torch.nn.Linear(1, 1), {}, "torch.export.save"),
        ("nothing.onnx", {}, "There is no file"),
        (__file__, {}, "is of no known kind"),
    ],
)
def test_what_cannot_be_served_is_said_plainly(estimator: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(NotStored, match=f"(?i){message}"):
        save(estimator, **{"name": "mine", **options})
    assert store.list_specs() == ()


def test_a_file_that_is_not_what_its_name_says(tmp_path: Path) -> None:
    for suffix in ("onnx", "json", "ubj", "pt2", "skops"):
        path = tmp_path / f"model.{suffix}"
        path.write_text("{}" if suffix == "json" else "not a model")
        with pytest.raises(NotStored, match=path.name):
            save(path, name="mine")
