from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from models.engines import linear
from models.engines.loader import load_engine, middle_row
from models.errors import ModelBroken

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from models.spec import ModelSpec


def test_an_unknown_engine_is_named_with_the_known_ones(make_spec: Callable[..., ModelSpec], tmp_path: Path) -> None:
    with pytest.raises(ModelBroken, match=r"'abacus'; known are linear, trees, convnet"):
        load_engine(make_spec(engine="abacus"), tmp_path)


@pytest.mark.parametrize("engine", ["linear", "trees", "convnet"])
def test_missing_weights_are_a_broken_model(make_spec: Callable[..., ModelSpec], tmp_path: Path, engine: str) -> None:
    with pytest.raises(ModelBroken, match="toy:unsaved cannot be loaded"):
        load_engine(make_spec(engine=engine), tmp_path)


def test_weights_of_another_shape_are_a_broken_model(make_spec: Callable[..., ModelSpec], tmp_path: Path) -> None:
    linear.write(tmp_path, np.zeros((2, 3)), np.zeros(2), np.zeros(3))
    with pytest.raises(ModelBroken, match=r"\(2, 3\)"):
        load_engine(make_spec(), tmp_path)


def test_the_middle_row_is_inside_every_range(make_spec: Callable[..., ModelSpec]) -> None:
    assert middle_row(make_spec()).tolist() == [[5.0, 50.0]]
