"""Models of XGBoost, from Python and from its files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import xgboost

from models.save import add, make_wishes, save
from tests.unit.models.own.irises import LABELS, ROWS, TRUTH, probabilities

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("home")


@pytest.mark.parametrize(("classes", "engine"), [(2, "trees"), (3, "xgboost")])
def test_xgboost_from_python_and_from_its_files(classes: int, engine: str, tmp_path: Path) -> None:
    model = xgboost.XGBClassifier(n_estimators=8).fit(ROWS[classes > TRUTH], TRUTH[classes > TRUTH])
    assert save(model, name="python", labels=LABELS[:classes]).engine == engine
    expected = model.predict_proba(ROWS)
    np.testing.assert_allclose(probabilities("python"), expected, atol=1e-5)
    for suffix in ("json", "ubj"):
        model.save_model(tmp_path / f"model.{suffix}")
        added = add(tmp_path / f"model.{suffix}", make_wishes(), name="filed")
        assert added.spec.labels == tuple(str(index) for index in range(classes))
        assert "Its labels are not in the file" in added.notes[0]
        np.testing.assert_allclose(probabilities("filed"), expected, atol=1e-5)


def test_early_stopping_keeps_the_best_trees_alone() -> None:
    model = xgboost.XGBClassifier(n_estimators=60, early_stopping_rounds=2, learning_rate=0.9)
    model.fit(ROWS[::2], TRUTH[::2], eval_set=[(ROWS[1::2], TRUTH[1::2])], verbose=False)
    save(model, name="early")
    np.testing.assert_allclose(probabilities("early"), model.predict_proba(ROWS), atol=1e-5)
