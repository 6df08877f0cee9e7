from __future__ import annotations

import json
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from services.errors import InvalidInput
from services.gateway.oip.values import from_json, to_json
from services.tensors import DTYPES, datatype_of, object_array

NUMERIC = sorted(DTYPES.keys() - {"BYTES", "BF16"})
SHAPES = hnp.array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=4)


def read(datatype: str, shape: list[int], data: Any) -> np.ndarray[Any, Any]:
    return from_json("x", datatype, shape, msgspec.Raw(data if isinstance(data, bytes) else json.dumps(data).encode()))


@st.composite
def numeric(draw: st.DrawFn) -> np.ndarray[Any, Any]:
    dtype = DTYPES[draw(st.sampled_from(NUMERIC))]
    elements = hnp.from_dtype(dtype, allow_nan=False, allow_infinity=False)
    return draw(hnp.arrays(dtype, draw(SHAPES), elements=elements))


@given(numeric())
@settings(max_examples=200, deadline=None)
def test_numbers_round_trip_flat_and_nested(array: np.ndarray[Any, Any]) -> None:
    for data in (to_json("x", array), array.tolist()):
        back = read(datatype_of(array), list(array.shape), data)
        assert back.dtype == array.dtype
        np.testing.assert_array_equal(back, array)


@given(st.lists(st.text(st.characters(codec="utf-8"), max_size=5), min_size=1, max_size=6))
def test_text_round_trips(texts: list[str]) -> None:
    array = read("BYTES", [len(texts)], texts)
    assert array.tolist() == [text.encode() for text in texts]
    assert to_json("x", array) == texts


def test_bfloat16_rounds_to_its_own_precision() -> None:
    assert read("BF16", [2], [1.0, 3.14159]).tolist() == [1.0, 3.140625]


def test_bytes_that_are_no_text_need_binary_data() -> None:
    with pytest.raises(InvalidInput, match="binary_data"):
        to_json("x", object_array([b"\xff"]))


@pytest.mark.parametrize(
    ("datatype", "shape", "data", "words"),
    [
        ("FP32", [2], [1.0], "has 2 elements; its data has 1"),
        ("FP32", [10**12, 4], [1.0], "its data has 1"),
        ("FP32", [-1], [1.0], "negative dimension"),
        ("FP32", [1], ["1"], "holds a string"),
        ("FP32", [1], [True], "holds a boolean"),
        ("FP32", [1], [None], "holds null"),
        ("FP32", [1], [{}], "holds an object"),
        ("FP32", [1], {}, "needs an array"),
        ("FP32", [1], 1.0, "needs an array"),
        ("FP32", [1], None, "needs an array"),
        ("FP32", [2, 2], [[1.0, 2.0], [3.0]], "nested unevenly"),
        ("FP32", [2, 2], [[1.0, 2.0], 3.0], "nested unevenly"),
        ("FP32", [3], [1.0, [2.0], 3.0], "holds an array"),
        ("FP32", [2, 2], [[1.0, 2.0, 3.0, 4.0]], r"its data has \[1, 4\]"),
        ("FP32", [1], [1e39], "beyond the range of FP32"),
        ("FP32", [1], [10**400], "beyond the range of FP32"),
        ("FP32", [1], b"[1e400]", "beyond the range of FP32"),
        ("FP64", [1], [10**400], "beyond the range of FP64"),
        ("FP16", [1], [65520.0], "beyond the range of FP16"),
        ("BF16", [1], [-3.4e38], "beyond the range of BF16"),
        ("INT8", [1], [128], "beyond the range of INT8"),
        ("UINT8", [1], [-1], "beyond the range of UINT8"),
        ("UINT64", [1], [2**64], "beyond the range of UINT64"),
        ("INT64", [1], [2**63], "beyond the range of INT64"),
        ("INT32", [1], [1.5], "holds a fraction"),
        ("INT32", [1], [1.0], "holds a fraction"),
        ("INT32", [1], [True], "holds a boolean"),
        ("BOOL", [1], [1], "holds a number"),
        ("BYTES", [1], [1], "holds a number"),
        ("FP8", [1], [1], "unknown datatype"),
        ("FP32", [0, 2**70], [], "impossible shape"),
    ],
)
def test_what_does_not_fit_is_refused(datatype: str, shape: list[int], data: Any, words: str) -> None:
    with pytest.raises(InvalidInput, match=words) as caught:
        read(datatype, shape, data)
    assert caught.value.param == "x"


@pytest.mark.parametrize(("datatype", "largest"), [("FP16", 65504.0), ("FP32", 3.4028235e38), ("BF16", 3.3895314e38)])
def test_the_largest_numbers_are_taken(datatype: str, largest: float) -> None:
    assert np.isfinite(read(datatype, [2], [largest, -largest])).all()


def test_empty_tensors_and_uint64() -> None:
    assert read("FP32", [0, 4], []).shape == (0, 4)
    assert read("UINT64", [1], [2**64 - 1]).tolist() == [2**64 - 1]
