"""Estimators of scikit-learn, from fitting or from a file to what the store serves."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import joblib
import numpy as np
import pytest
import skops.io
import xgboost
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_diabetes
from sklearn.ensemble import GradientBoostingRegressor, HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import LinearSVC

from models import store
from models.engines.table import PREDICTION
from models.errors import ModelBroken, NotStored
from models.save import add, make_wishes, save
from models.spec import TensorSpec
from tests.unit.models.own.irises import LABELS, NAMED, NAMES, ROWS, TRUTH, probabilities

if TYPE_CHECKING:
    from pathlib import Path

    from models.spec import TensorEngine

pytestmark = pytest.mark.usefixtures("home")


def double(values: Any) -> Any:
    return values * 2


def values(name: str, rows: Any) -> Any:
    engine: TensorEngine = store.load(name)  # type: ignore[assignment]
    return engine.infer({"features": np.asarray(rows, np.float32)})[PREDICTION]


@pytest.mark.parametrize(
    "estimator",
    [
        LogisticRegression(max_iter=1000),
        RandomForestClassifier(10, random_state=0),
        HistGradientBoostingClassifier(max_iter=10),
        KNeighborsClassifier(),
        make_pipeline(StandardScaler(), CalibratedClassifierCV(LinearSVC())),
    ],
    ids=lambda one: type(one).__name__,
)
def test_a_classifier_answers_as_in_scikit_learn_and_is_no_pickle(estimator: Any, home: Path) -> None:
    estimator.fit(ROWS, NAMED)
    spec = save(estimator, name="flowers", example=ROWS, feature_names=NAMES, description="Which iris?")
    assert spec.is_classifier
    assert not spec.trusted_pickle
    assert [feature.name for feature in spec.features] == list(NAMES)
    assert spec.labels == LABELS
    assert spec.description == "Which iris?"
    np.testing.assert_allclose(probabilities("flowers"), estimator.predict_proba(ROWS), atol=1e-4)
    assert not list((home / "models" / "flowers" / spec.version).glob("*.joblib"))


def test_names_come_from_the_estimator_without_a_warning_at_each_call() -> None:
    class Frame(np.ndarray):
        columns = NAMES

    forest = RandomForestClassifier(5, random_state=0).fit(ROWS, TRUTH)
    forest.feature_names_in_ = np.array(NAMES, object)
    spec = save(forest, name="flowers", labels=LABELS)
    assert [feature.name for feature in spec.features] == list(NAMES)
    assert spec.labels == LABELS
    assert probabilities("flowers").shape == (150, 3)
    by_frame = save(LogisticRegression(max_iter=1000).fit(ROWS, TRUTH), name="framed", example=ROWS.view(Frame))
    assert [feature.name for feature in by_frame.features] == list(NAMES)
    assert by_frame.features[0].typical == pytest.approx(np.median(ROWS[:, 0]))


def test_a_decision_function_stands_in_for_probabilities_and_is_noted() -> None:
    added = add(LinearSVC().fit(ROWS, TRUTH), make_wishes(ROWS), name="svc")
    assert "decision function" in added.notes[0]
    np.testing.assert_allclose(probabilities("svc").sum(axis=1), 1, atol=1e-5)


@pytest.mark.parametrize(
    "estimator", [Ridge(), GradientBoostingRegressor(n_estimators=5), xgboost.XGBRegressor(n_estimators=5)]
)
def test_a_regressor_is_a_tensor_model(estimator: Any) -> None:
    rows, truth = load_diabetes(return_X_y=True)
    estimator.fit(rows, truth)
    spec = save(estimator, name="sugar", example=rows)
    assert not spec.is_classifier
    assert spec.batches
    assert spec.outputs == (TensorSpec(name="prediction", datatype="FP32", shape=(-1,)),)
    np.testing.assert_allclose(values("sugar", rows), estimator.predict(rows.astype(np.float32)), rtol=1e-3)
    assert values("sugar", rows[:0]).shape == (0,)


def test_a_joblib_file_needs_a_word_and_is_stored_without_its_pickle(tmp_path: Path, home: Path) -> None:
    joblib.dump(LogisticRegression(max_iter=1000).fit(ROWS, TRUTH), tmp_path / "model.joblib")
    with pytest.raises(NotStored, match=r"is a pickle.*--trust-pickle"):
        save(tmp_path / "model.joblib", name="mine")
    spec = save(tmp_path / "model.joblib", name="mine", trust_pickle=True)
    assert not spec.trusted_pickle
    assert [path.name for path in (home / "models" / "mine" / spec.version).glob("estimator.*")] == ["estimator.skops"]


def test_what_skops_cannot_hold_needs_a_word_and_is_marked(home: Path) -> None:
    pipeline = make_pipeline(FunctionTransformer(double), LogisticRegression(max_iter=1000)).fit(ROWS, TRUTH)
    with pytest.raises(NotStored, match=r"double.*pickle"):
        save(pipeline, name="mine")
    assert store.list_specs() == ()
    spec = save(pipeline, name="mine", trust_pickle=True)
    assert spec.trusted_pickle
    np.testing.assert_allclose(probabilities("mine"), pipeline.predict_proba(ROWS), atol=1e-5)
    file = home / "models" / "mine" / spec.version / store.SPEC_FILE
    file.write_text(json.dumps({**json.loads(file.read_text()), "trusted_pickle": False}))
    with pytest.raises(ModelBroken, match="a pickle, and was not stored as a trusted one"):
        store.load("mine")


def test_a_skops_file_that_somebody_sent(tmp_path: Path) -> None:
    forest = RandomForestClassifier(5, random_state=0).fit(ROWS, TRUTH)
    skops.io.dump(forest, tmp_path / "good.skops")
    save(tmp_path / "good.skops", name="good")
    np.testing.assert_allclose(probabilities("good"), forest.predict_proba(ROWS), atol=1e-5)

    skops.io.dump(make_pipeline(FunctionTransformer(double), forest).fit(ROWS, TRUTH), tmp_path / "strange.skops")
    with pytest.raises(NotStored, match=r"double.*pass the estimator itself"):
        save(tmp_path / "strange.skops", name="strange")

    tree = forest.estimators_[0].tree_
    state = tree.__getstate__()
    state["nodes"]["left_child"][0] = 10**6
    tree.__setstate__(state)
    skops.io.dump(forest, tmp_path / "damaged.skops")
    with pytest.raises(NotStored, match="one of its trees is damaged"):
        save(tmp_path / "damaged.skops", name="damaged")
