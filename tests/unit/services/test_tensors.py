from __future__ import annotations

import tracemalloc
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from services.errors import InvalidInput
from services.tensors import DTYPES, count_of, datatype_of, from_raw, object_array, to_raw

FIXED = sorted(DTYPES.keys() - {"BYTES", "BF16"})
SHAPES = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)


@st.composite
def arrays(draw: st.DrawFn) -> np.ndarray[Any, Any]:
    """Any array that v2 has a datatype for."""
    datatype = draw(st.sampled_from([*FIXED, "BF16", "BYTES"]))
    shape = draw(SHAPES)
    if datatype == "BF16":
        return draw(hnp.arrays(np.float32, shape)).astype(ml_dtypes.bfloat16)
    if datatype == "BYTES":
        count = int(np.prod(shape))
        return object_array(draw(st.lists(st.binary(max_size=9), min_size=count, max_size=count))).reshape(shape)
    return draw(hnp.arrays(DTYPES[datatype], shape))


@given(arrays())
@settings(max_examples=200, deadline=None)
def test_raw_bytes_round_trip(array: np.ndarray[Any, Any]) -> None:
    with np.errstate(all="ignore"):
        back = from_raw("x", datatype_of(array), array.shape, to_raw(array))
    assert back.dtype == array.dtype
    assert back.shape == array.shape
    assert to_raw(back) == to_raw(array)


@given(arrays(), st.integers(1, 9))
@settings(deadline=None)
def test_missing_and_surplus_bytes_are_refused(array: np.ndarray[Any, Any], some: int) -> None:
    raw = to_raw(array)
    for wrong in (raw[:-some], raw + b"\0" * some):
        if len(wrong) != len(raw):
            with pytest.raises(InvalidInput) as caught:
                from_raw("x", datatype_of(array), array.shape, wrong)
            assert caught.value.param == "x"


@given(st.sampled_from(sorted(DTYPES)), st.lists(st.integers(-(2**70), 2**70), max_size=70), st.binary(max_size=40))
@settings(max_examples=300, deadline=None)
def test_any_shape_is_read_or_refused(datatype: str, shape: list[int], data: bytes) -> None:
    try:
        array = from_raw("x", datatype, shape, data)
    except InvalidInput:
        return
    assert list(array.shape) == shape
    assert to_raw(array) == data


@pytest.mark.parametrize("datatype", ["FP32", "BYTES", "BOOL"])
@pytest.mark.parametrize("shape", [(10**12, 4), (2**62, 2**62), (2**31, 2**31)])
def test_a_lying_shape_allocates_nothing(datatype: str, shape: tuple[int, ...]) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(InvalidInput):
            from_raw("x", datatype, shape, b"\0" * 64)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2**20


@pytest.mark.parametrize(
    ("datatype", "shape", "data", "words"),
    [
        ("FP8", (1,), b"x", "unknown datatype 'FP8'"),
        ("fp32", (1,), b"xxxx", "unknown datatype"),
        ("FP32", (-1,), b"xxxx", "negative dimension"),
        ("FP32", (-1, -1), b"xxxx", "negative dimension"),
        ("FP32", (2,), b"xxxx", r"takes 8 bytes; 4 came"),
        ("FP32", (0, 2**70), b"", "impossible shape"),
        ("FP32", (1,) * 80, b"xxxx", "impossible shape"),
        ("BOOL", (2,), b"\x01\x02", "neither 0 nor 1"),
        ("BYTES", (1,), b"\x05\0\0\0abc", "longer ones than its bytes hold"),
        ("BYTES", (1,), b"\xff\xff\xff\xffabc", "longer ones"),
        ("BYTES", (2,), b"\x01\0\0\0a\x01\0", "longer ones"),
        ("BYTES", (1,), b"\x01\0\0\0ab", "1 surplus bytes"),
    ],
)
def test_what_does_not_fit_is_named(datatype: str, shape: tuple[int, ...], data: bytes, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        from_raw("x", datatype, shape, data)


def test_a_dtype_that_v2_lacks_is_a_bug_of_the_caller() -> None:
    with pytest.raises(KeyError):
        datatype_of(np.zeros(1, np.complex64))


@pytest.mark.parametrize("shape", [[2**63], [10**4000], [1] * 65, [2**60] * 500_000, [0, 2**63], [-1] * 65])
def test_shape_that_no_tensor_has_is_refused_at_once(shape: list[int]) -> None:
    with pytest.raises(InvalidInput, match="impossible shape"):
        count_of("x", shape)
