"""What holds for every engine: shapes, parity with the training library, row independence, complete attributions."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.classifiers.recipe import PARITY

if TYPE_CHECKING:
    from models.spec import Engine, Rows
    from tests.unit.models.conftest import Shelf

NAMES = ("iris", "fraud", "digits")
COMPLETENESS = {"iris": 1e-9, "fraud": 1e-4, "digits": 0.05}
"""Most that baseline and contributions may miss the output by: rounding, float32 sums, an integral of 256 points."""


@pytest.fixture(params=NAMES, scope="module")
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=[1, 2], ids=["1 thread", "2 threads"], scope="module")
def engine(shelf: Shelf, name: str, request: pytest.FixtureRequest) -> Engine:
    return shelf.engine(name, threads=request.param)


@pytest.fixture(scope="module")
def rows(shelf: Shelf, name: str) -> Rows:
    """Rows of the data, then rows from anywhere in the hard ranges."""
    trained = shelf.trained[name]
    low, high = ([getattr(feature, end) for feature in trained.spec.features] for end in ("low", "high"))
    anywhere = np.random.default_rng(5).uniform(low, high, (300, len(low)))
    return np.concatenate([trained.rows[:300], anywhere], dtype=np.float32)


def test_probabilities_are_those_of_the_training_library(shelf: Shelf, name: str, engine: Engine) -> None:
    trained = shelf.trained[name]
    assert np.abs(engine.predict(trained.rows) - trained.probabilities).max() <= PARITY


def test_every_row_adds_up_to_one(engine: Engine, rows: Rows) -> None:
    probabilities = engine.predict(rows)
    assert probabilities.shape == (len(rows), len(engine.spec.labels))
    assert probabilities.dtype == np.float32
    assert probabilities.flags.c_contiguous
    assert ((probabilities >= 0) & (probabilities <= 1)).all()
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)


def test_no_rows_give_no_probabilities(engine: Engine, rows: Rows) -> None:
    assert engine.predict(rows[:0]).shape == (0, len(engine.spec.labels))


def test_rows_need_not_be_contiguous(engine: Engine, rows: Rows) -> None:
    strided = np.asfortranarray(rows)[::2]
    np.testing.assert_array_equal(engine.predict(strided), engine.predict(rows)[::2])


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_row_gets_the_same_bits_alone_and_in_any_batch(engine: Engine, rows: Rows, data: st.DataObject) -> None:
    size = data.draw(st.sampled_from([2, 3, 5, 16, 33, 95, 96, 97, 200, 513]), label="rows in the batch")
    seed = data.draw(st.integers(0, 2**32 - 1), label="seed")
    chosen = np.random.default_rng(seed).integers(0, len(rows), size)
    together = engine.predict(rows[chosen])
    position = int(seed % size)
    alone = engine.predict(rows[chosen[position] : chosen[position] + 1])
    np.testing.assert_array_equal(together[position], alone[0])


def test_the_order_of_rows_changes_nothing(engine: Engine, rows: Rows) -> None:
    order = np.random.default_rng(3).permutation(len(rows))
    np.testing.assert_array_equal(engine.predict(rows[order]), engine.predict(rows)[order])


def test_attributions_add_up_to_the_output(name: str, engine: Engine, rows: Rows) -> None:
    for index in range(0, len(rows), 20 if name == "digits" else 4):
        attributions = engine.attribute(rows[index : index + 1])
        total = attributions.baseline + sum(attributions.contributions)
        assert total == pytest.approx(
            attributions.output, abs=COMPLETENESS[name], rel=0.01 if name == "digits" else 1e-5
        )
        assert len(attributions.contributions) == len(engine.spec.features)


def test_attributions_explain_the_predicted_label_and_its_output(name: str, engine: Engine, rows: Rows) -> None:
    for index in range(0, len(rows), 20):
        row = rows[index : index + 1]
        probabilities = engine.predict(row)[0]
        attributions = engine.attribute(row)
        assert attributions.label == engine.spec.labels[int(probabilities.argmax())]
        if attributions.space == "log-odds":
            assert probabilities.max() == pytest.approx(1 / (1 + np.exp(-attributions.output)), abs=1e-6)


def test_predictions_and_attributions_may_run_at_once(engine: Engine, rows: Rows) -> None:
    expected, explained = engine.predict(rows[:64]), engine.attribute(rows[:1])
    with ThreadPoolExecutor(2) as pool:
        predictions = [pool.submit(engine.predict, rows[:64]) for _ in range(20)]
        explanations = [pool.submit(engine.attribute, rows[:1]) for _ in range(5)]
        for prediction in predictions:
            np.testing.assert_array_equal(prediction.result(), expected)
        for explanation in explanations:
            assert explanation.result().contributions == pytest.approx(explained.contributions, abs=1e-5)
