from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from models.engines.shapley import sampled_shapley
from models.spec import Feature

if TYPE_CHECKING:
    from collections.abc import Callable

    from models.spec import ModelSpec, Probabilities, Rows

WEIGHTS = np.array([0.03, -0.02, 0.0])


def additive(rows: Rows) -> Probabilities:
    up = 0.5 + rows @ WEIGHTS
    return np.stack([1 - up, up], axis=1).astype(np.float32)


def interacting(rows: Rows) -> Probabilities:
    up = 0.5 + 0.01 * rows[:, 0] * rows[:, 1]
    return np.stack([1 - up, up], axis=1).astype(np.float32)


@pytest.fixture
def spec(make_spec: Callable[..., ModelSpec]) -> ModelSpec:
    features = tuple(
        Feature(name=name, description=name, low=0, high=10, typical=typical)
        for name, typical in zip("abc", (1, 2, 3), strict=True)
    )
    return make_spec(features=features)


def test_where_features_add_up_each_gets_exactly_its_part(spec: ModelSpec) -> None:
    found = sampled_shapley(spec, additive, np.array([[5, 4, 9]], np.float32))
    assert (found.label, found.space, found.method) == ("up", "probability", "sampled-shapley")
    assert found.baseline == pytest.approx(0.49)
    assert found.contributions == pytest.approx([0.12, -0.04, 0], abs=1e-6)


def test_features_that_work_together_share_alike(spec: ModelSpec) -> None:
    spec = spec.model_copy(update={"features": tuple(one.model_copy(update={"typical": 0.0}) for one in spec.features)})
    found = sampled_shapley(spec, interacting, np.array([[3, 3, 7]], np.float32))
    assert found.contributions == pytest.approx([0.045, 0.045, 0], abs=1e-6)


def test_many_features_still_add_up(make_spec: Callable[..., ModelSpec]) -> None:
    width = 300
    features = tuple(Feature(name=f"x{i}", description="", low=0, high=1) for i in range(width))
    weights = np.random.default_rng(0).normal(size=width)

    def predict(rows: Rows) -> Probabilities:
        up = 1 / (1 + np.exp(-(rows - 0.5) @ weights))
        return np.stack([1 - up, up], axis=1).astype(np.float32)

    row = np.random.default_rng(1).uniform(size=(1, width)).astype(np.float32)
    found = sampled_shapley(make_spec(features=features), predict, row)
    assert found.baseline + sum(found.contributions) == pytest.approx(found.output, abs=1e-5)
