from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from models.engines.linear import LinearEngine

if TYPE_CHECKING:
    from collections.abc import Callable

    from models.spec import ModelSpec

COEFFICIENTS = np.array([[0.0, 0.0], [2.0, -0.5]])
INTERCEPT = np.array([0.0, 1.0])
MEAN = np.array([1.0, 4.0])


@pytest.fixture
def engine(make_spec: Callable[..., ModelSpec]) -> LinearEngine:
    return LinearEngine(make_spec(), COEFFICIENTS, INTERCEPT, MEAN)


def test_the_contribution_is_coefficient_times_distance_from_the_mean(engine: LinearEngine) -> None:
    attributions = engine.attribute(np.array([[3.0, 2.0]], dtype=np.float32))
    assert attributions.label == "up"
    assert attributions.baseline == 2.0 - 2.0 + 1.0
    assert attributions.contributions == (2.0 * 2.0, -0.5 * -2.0)
    assert attributions.output == 6.0


def test_scores_far_beyond_exp_do_not_overflow(engine: LinearEngine) -> None:
    probabilities = engine.predict(np.array([[1e30, 0.0], [-1e30, 0.0]], dtype=np.float32))
    assert probabilities.tolist() == [[0.0, 1.0], [1.0, 0.0]]
