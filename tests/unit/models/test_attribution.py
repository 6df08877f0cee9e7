from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from models.attribution import RankedAttribution, rank
from models.spec import Attributions, Feature

if TYPE_CHECKING:
    from collections.abc import Callable

    from models.spec import ModelSpec


def attributions(*contributions: float) -> Attributions:
    return Attributions(
        label="up", space="logit", method="linear", baseline=0.0, output=sum(contributions), contributions=contributions
    )


def test_the_strongest_push_comes_first_whatever_its_sign(make_spec: Callable[..., ModelSpec]) -> None:
    ranked = rank(make_spec(), [1.5, 70.0], attributions(0.5, -2.0))
    assert ranked == (
        RankedAttribution("weight", 70.0, "kg", -2.0),
        RankedAttribution("height", 1.5, "m", 0.5),
    )


def test_equal_pushes_keep_the_order_of_the_features(make_spec: Callable[..., ModelSpec]) -> None:
    ranked = rank(make_spec(), [1.0, 2.0], attributions(1.0, -1.0))
    assert [line.feature for line in ranked] == ["height", "weight"]


def test_features_with_a_region_are_added_up_under_its_name(make_spec: Callable[..., ModelSpec]) -> None:
    pixels = [("a", "left"), ("b", "right"), ("c", "left")]
    spec = make_spec(
        features=tuple(Feature(name=name, description=name, low=0, high=1, region=region) for name, region in pixels)
    )
    ranked = rank(spec, [0.1, 0.2, 0.3], attributions(1.0, 2.5, 2.0))
    assert ranked == (RankedAttribution("left", None, None, 3.0), RankedAttribution("right", None, None, 2.5))


def test_contributions_that_cancel_in_a_region_stay_in_the_list(make_spec: Callable[..., ModelSpec]) -> None:
    spec = make_spec(
        features=tuple(Feature(name=name, description=name, low=0, high=1, region="left") for name in "ab")
    )
    assert rank(spec, [0.0, 1.0], attributions(-1.0, 1.0)) == (RankedAttribution("left", None, None, 0.0),)


def test_values_of_a_float32_row_read_as_they_were_written(make_spec: Callable[..., ModelSpec]) -> None:
    ranked = rank(make_spec(), np.array([1.4, 70.3], dtype=np.float32).tolist(), attributions(2.0, 1.0))
    assert [line.value for line in ranked] == [1.4, 70.3]


def test_a_row_of_the_wrong_width_is_refused(make_spec: Callable[..., ModelSpec]) -> None:
    with pytest.raises(ValueError, match="shorter"):
        rank(make_spec(), [1.0], attributions(0.5, -2.0))
