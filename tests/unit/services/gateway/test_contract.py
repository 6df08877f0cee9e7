from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from services.errors import InvalidInput
from services.gateway.contract import Contract
from tests.stage import FLOWERS, tensor_spec

ROWS = np.array([[60, 2, 3], [10, 1, 0]], np.float32)
SUMS = tensor_spec("sums", ("a", "INT32", (-1, 4)), ("b", "INT32", (-1, 4)))
FIXED = tensor_spec("fixed", ("image", "FP32", (1, -1, 2)), ("words", "BYTES", (2,)))


def flowers(max_rows: int = 100) -> Contract:
    return Contract(FLOWERS, max_rows)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("count", [0, 1, 2, 60])
def test_features_come_out_as_fp32(dtype: type, count: int) -> None:
    rows: np.ndarray[Any, Any] = np.resize(ROWS, (count, 3)).astype(dtype)
    checked = flowers().check({"features": rows})["features"]
    assert checked.dtype == np.float32
    np.testing.assert_array_equal(checked, rows)


@pytest.mark.parametrize("count", [1, 60])
@pytest.mark.parametrize(
    ("value", "words"),
    [
        (np.nan, r"\(width\): must be a finite number"),
        (np.inf, "must be a finite number"),
        (-np.inf, "must be a finite number"),
        (10.5, "must be between 0 and 10 cm"),
        (-0.5, "must be between"),
    ],
)
def test_a_value_out_of_its_range_is_named(count: int, value: float, words: str) -> None:
    rows = np.resize(ROWS, (count, 3))
    rows[-1, 1] = value
    with pytest.raises(InvalidInput, match=words) as caught:
        flowers().check({"features": rows})
    assert caught.value.param == f"features[{count - 1}, 1]"


@pytest.mark.parametrize(
    ("tensors", "words"),
    [
        ({}, "'features' is missing"),
        ({"features": ROWS, "other": ROWS}, "no input 'other'; it takes 'features'"),
        ({"features": ROWS[0]}, r"has shape \[3\]; flowers takes \[-1, 3\]"),
        ({"features": ROWS[:, :2]}, r"has shape \[2, 2\]"),
        ({"features": ROWS[None]}, r"has shape \[1, 2, 3\]"),
        ({"features": ROWS.astype(np.int32)}, "datatype INT32; flowers takes FP32 or FP64"),
        ({"features": ROWS.astype(object)}, "datatype BYTES"),
        ({"features": np.resize(ROWS, (101, 3))}, "101 rows; at most 100"),
    ],
)
def test_tensors_that_do_not_fit_are_refused(tensors: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        flowers().check(tensors)


def test_several_inputs_must_have_as_many_rows() -> None:
    contract = Contract(SUMS, 100)
    assert contract.takes_rows
    whole = np.zeros((2, 4), np.int32)
    assert contract.check({"b": whole, "a": whole}).keys() == {"a", "b"}
    with pytest.raises(InvalidInput, match="different numbers of rows: 1, 2"):
        contract.check({"a": whole, "b": whole[:1]})
    with pytest.raises(InvalidInput, match="INT64; sums takes INT32"):
        contract.check({"a": whole, "b": whole.astype(np.int64)})


def test_a_model_without_rows_takes_what_it_declares() -> None:
    contract = Contract(FIXED, 1)
    assert not contract.takes_rows
    words = np.array([b"a", b"b"], object)
    assert contract.check({"image": np.full((1, 7, 2), np.nan, np.float32), "words": words})
    with pytest.raises(InvalidInput, match=r"takes \[1, -1, 2\]"):
        contract.check({"image": np.zeros((2, 7, 2), np.float32), "words": words})


def test_outputs_are_all_or_those_named_in_order() -> None:
    contract = flowers()
    assert contract.wanted(()) == ("label", "probabilities")
    assert contract.wanted(["probabilities"]) == ("probabilities",)
    assert contract.wanted(["probabilities", "label"]) == ("probabilities", "label")
    with pytest.raises(InvalidInput, match="no output 'logits'; it gives 'label', 'probabilities'"):
        contract.wanted(["logits"])
    with pytest.raises(InvalidInput, match="asked for twice"):
        contract.wanted(["label", "label"])


def test_labels_are_the_most_probable() -> None:
    labels = flowers().labels(np.array([[0.7, 0.3], [0.1, 0.9]], np.float32))
    assert labels.tolist() == [b"small", b"large"]
    assert flowers().labels(np.empty((0, 2), np.float32)).shape == (0,)
