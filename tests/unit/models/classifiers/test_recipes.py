from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from models import store
from models.classifiers import iris
from models.classifiers.catalogue import RECIPES
from models.classifiers.recipe import Trained, TrainingFailed, calibration_error, check
from models.engines.loader import LOADERS

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.models.conftest import Shelf

NAMES = tuple(RECIPES)


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_model_reaches_its_floors_and_says_what_it_is(shelf: Shelf, name: str) -> None:
    spec = shelf.trained[name].spec
    check(shelf.trained[name], shelf.folders[name], RECIPES[name].floors)
    assert spec.name == name
    assert spec.engine in LOADERS
    assert spec.inputs[0].shape == (-1, len(spec.features))
    assert [(tensor.name, tensor.datatype) for tensor in spec.outputs] == [
        ("label", "BYTES"),
        ("probabilities", "FP32"),
    ]
    assert len({feature.name for feature in spec.features}) == len(spec.features)


@pytest.mark.parametrize("name", NAMES)
def test_every_row_of_the_data_is_within_the_hard_ranges(shelf: Shelf, name: str) -> None:
    trained = shelf.trained[name]
    for index, feature in enumerate(trained.spec.features):
        assert feature.low <= trained.rows[:, index].min()
        assert trained.rows[:, index].max() <= feature.high


def test_metrics_are_far_from_chance(shelf: Shelf) -> None:
    fraud = shelf.trained["fraud"].spec.metrics
    assert 0.01 <= fraud["base_rate"] <= 0.03
    assert fraud["average_precision"] > 20 * fraud["base_rate"]
    assert shelf.trained["iris"].spec.metrics["accuracy"] >= 0.93
    assert shelf.trained["digits"].spec.metrics["accuracy"] >= 0.97
    assert all(one.spec.metrics["calibration_error"] < 0.05 for one in shelf.trained.values())


def test_fraud_says_that_its_data_are_synthetic(shelf: Shelf) -> None:
    assert "SYNTHETIC" in shelf.trained["fraud"].spec.data_source


@pytest.mark.parametrize("name", ["iris", "fraud"])
def test_training_again_gives_the_same_model(shelf: Shelf, name: str, tmp_path: Path) -> None:
    again = RECIPES[name].train()
    again.write(tmp_path)
    assert again.spec.metrics == shelf.trained[name].spec.metrics
    for file in tmp_path.iterdir():
        assert file.read_bytes() == (shelf.folders[name] / file.name).read_bytes()


def test_a_model_below_its_floor_is_not_accepted(shelf: Shelf) -> None:
    with pytest.raises(TrainingFailed, match=r"iris: accuracy is 0\.\d+, at least 1\.1 is asked for"):
        check(shelf.trained["iris"], shelf.folders["iris"], {"accuracy": 1.1})


def test_a_metric_that_is_not_a_number_is_below_every_floor(shelf: Shelf) -> None:
    trained = shelf.trained["iris"]
    broken = replace(trained, spec=trained.spec.model_copy(update={"metrics": {"accuracy": float("nan")}}))
    with pytest.raises(TrainingFailed, match="nan"):
        check(broken, shelf.folders["iris"], {"accuracy": 0.9})


def test_weights_that_answer_otherwise_than_the_library_are_not_accepted(shelf: Shelf) -> None:
    trained = shelf.trained["iris"]
    other: Trained = replace(trained, probabilities=trained.probabilities[::-1])
    with pytest.raises(TrainingFailed, match="differ from scikit-learn's"):
        check(other, shelf.folders["iris"], {})


def test_calibration_error_is_the_mean_gap_of_confidence_and_accuracy() -> None:
    truth = np.array([0, 0, 1, 1])
    sure_and_right = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    assert calibration_error(truth, sure_and_right) == 0
    sure_and_half_right = np.tile([1.0, 0.0], (4, 1))
    assert calibration_error(truth, sure_and_half_right) == pytest.approx(0.5)
    assert calibration_error(truth, np.tile([0.6, 0.4], (4, 1))) == pytest.approx(0.1)


def test_the_catalogue_imports_no_framework() -> None:
    heavy = "{'bentoml', 'torch', 'sklearn', 'xgboost', 'onnxruntime', 'onnx'}"
    program = f"import sys; import models.classifiers.catalogue; print({heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_a_stored_classifier_is_what_was_trained(shelf: Shelf, home: Path) -> None:
    trained = shelf.trained["iris"]
    saved = store.save(trained.spec, trained.write)
    assert saved.model_copy(update={"version": "unsaved"}) == trained.spec
    assert store.load("iris").spec.features == iris.FEATURES
