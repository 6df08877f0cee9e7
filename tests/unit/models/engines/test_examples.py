from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from models.engines import examples
from models.spec import ModelSpec, TensorSpec

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def test_examples_come_back_as_they_were(tmp_path: Path, make_spec: Callable[..., ModelSpec]) -> None:
    given = {"text": np.array([[b"a", b""]], object), "half": np.ones((2, 3), np.float16), "yes": np.array([True])}
    examples.write(tmp_path, given)
    back = examples.read(make_spec(), tmp_path)
    assert {name: (array.dtype, array.tolist()) for name, array in back.items()} == {
        name: (array.dtype, array.tolist()) for name, array in given.items()
    }


def test_without_one_a_row_of_zeros_stands_in(tmp_path: Path, make_spec: Callable[..., ModelSpec]) -> None:
    inputs = (
        TensorSpec(name="x", datatype="INT64", shape=(-1, 2)),
        TensorSpec(name="text", datatype="BYTES", shape=(1,)),
    )
    made = examples.read(make_spec(inputs=inputs), tmp_path)
    assert made["x"].tolist() == [[0, 0]]
    assert made["x"].dtype == np.int64
    assert made["text"].tolist() == [b""]


def test_datatypes_go_both_ways() -> None:
    for datatype in ("BOOL", "UINT8", "INT16", "FP16", "FP64"):
        assert examples.datatype_of(examples.dtype_of(datatype)) == datatype
    with pytest.raises(ValueError, match="FP12"):
        examples.dtype_of("FP12")
    with pytest.raises(ValueError, match="complex"):
        examples.datatype_of(np.dtype(complex))
