from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from models.attribution import rank

if TYPE_CHECKING:
    from models.spec import Engine
    from tests.unit.models.conftest import Shelf


@pytest.fixture(scope="module")
def engine(shelf: Shelf) -> Engine:
    return shelf.engine("digits")


def test_an_empty_image_starts_and_ends_at_the_baseline(engine: Engine) -> None:
    attributions = engine.attribute(np.zeros((1, 64), dtype=np.float32))
    assert attributions.contributions == (0.0,) * 64
    assert attributions.output == pytest.approx(attributions.baseline, abs=1e-6)


def test_pixels_without_ink_contribute_nothing(engine: Engine, shelf: Shelf) -> None:
    row = shelf.trained["digits"].rows[:1]
    contributions = np.array(engine.attribute(row).contributions)
    assert (contributions[row[0] == 0] == 0).all()
    assert (contributions[row[0] > 0] != 0).any()


def test_people_read_of_nine_regions(engine: Engine, shelf: Shelf) -> None:
    row = shelf.trained["digits"].rows[0]
    attributions = engine.attribute(row[None])
    ranked = rank(engine.spec, row, attributions)
    assert {line.feature for line in ranked} == {feature.region for feature in engine.spec.features}
    assert len(ranked) == 9
    assert sum(line.contribution for line in ranked) == pytest.approx(sum(attributions.contributions))


def test_the_same_row_is_explained_the_same_way_twice(engine: Engine, shelf: Shelf) -> None:
    row = shelf.trained["digits"].rows[:1]
    assert engine.attribute(row) == engine.attribute(row)
