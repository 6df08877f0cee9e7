from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from models.engines.table import meaning_of, table_tensors, to_probabilities

TWO = np.array([[0.25, 0.75], [1, 0]])


@pytest.mark.parametrize(
    ("values", "labels", "meaning"),
    [
        (TWO, 2, "probabilities"),
        (TWO * 3, 2, "scores"),
        (TWO / 2, 2, "scores"),
        (np.array([0.2, 1]), 2, "second"),
        (np.array([[-3.0], [2]]), 2, "log-odds"),
    ],
)
def test_what_values_mean_is_seen_in_them(values: Any, labels: int, meaning: str) -> None:
    assert meaning_of(values, labels) == meaning
    probabilities = to_probabilities(values, meaning_of(values, labels))
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-6)
    order = np.argsort(values[:, -1] if values.ndim == 2 else values)
    np.testing.assert_array_equal(order, np.argsort(probabilities[:, 1]))


@pytest.mark.parametrize(("values", "labels"), [(TWO, 3), (np.array([0.2]), 3), (TWO, 1)])
def test_values_that_fit_no_labels(values: Any, labels: int) -> None:
    with pytest.raises(ValueError, match=f"a row for {labels} labels"):
        meaning_of(values, labels)


def test_large_scores_do_not_overflow() -> None:
    np.testing.assert_array_equal(to_probabilities(np.array([[1e6, -1e6]]), "scores"), [[1, 0]])
    np.testing.assert_array_equal(to_probabilities(np.array([-1e6, 1e6]), "log-odds"), [[1, 0], [0, 1]])


def test_tensors_of_a_table() -> None:
    _, outputs = table_tensors(4, 3, 1)
    assert [(tensor.name, tensor.shape) for tensor in outputs] == [("label", (-1,)), ("probabilities", (-1, 3))]
    assert [tensor.shape for values in (1, 2) for tensor in table_tensors(4, 0, values)[1]] == [(-1,), (-1, 2)]
