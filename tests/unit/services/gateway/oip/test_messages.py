from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from tritonclient.grpc import service_pb2 as pb

from services.errors import InvalidInput, ServingError, Unsupported
from services.gateway.oip.messages import answer_to, outputs_of, tensors_of
from services.tensors import DTYPES, datatype_of, object_array, to_raw
from tests.stage import FLOWERS

CONTENTS = {
    "BOOL": "bool_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
}
ARRAYS = st.sampled_from(sorted(CONTENTS)).flatmap(
    lambda name: hnp.arrays(DTYPES[name], hnp.array_shapes(max_dims=3, max_side=3))
)


def asked(*inputs: dict[str, Any], raw: tuple[bytes, ...] = ()) -> pb.ModelInferRequest:
    return pb.ModelInferRequest(model_name="flowers", inputs=list(inputs), raw_input_contents=raw)


def given_input(shape: list[int], datatype: str = "FP32", name: str = "x", **contents: list[Any]) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": shape, **({"contents": contents} if contents else {})}


@given(ARRAYS)
@settings(max_examples=150, deadline=None)
def test_typed_and_raw_tensors_round_trip(array: np.ndarray[Any, Any]) -> None:
    datatype = datatype_of(array)
    contents: dict[str, Any] = {CONTENTS[datatype]: array.ravel().tolist()}
    typed = asked(given_input(list(array.shape), datatype, **contents))
    raw = asked(given_input(list(array.shape), datatype), raw=(to_raw(array),))
    for request in (typed, raw):
        tensors = tensors_of(request)
        np.testing.assert_array_equal(tensors["x"], array)
        answer = answer_to(request, FLOWERS, tensors)
        assert bool(answer.raw_output_contents) == (request is raw)
        back = pb.ModelInferRequest(inputs=[given_input(list(array.shape), datatype)])
        back.inputs[0].contents.CopyFrom(answer.outputs[0].contents)
        back.raw_input_contents.extend(answer.raw_output_contents)
        if request is raw:
            back.inputs[0].ClearField("contents")
        np.testing.assert_array_equal(tensors_of(back)["x"], array)


def test_bytes_are_typed_or_raw() -> None:
    elements = [b"\xff\0", b"", b"abc"]
    array = object_array(elements)
    assert tensors_of(asked(given_input([3], "BYTES", bytes_contents=elements)))["x"].tolist() == elements
    assert tensors_of(asked(given_input([3], "BYTES"), raw=(to_raw(array),)))["x"].tolist() == elements


def test_an_output_without_typed_contents_makes_the_answer_raw() -> None:
    request = asked(given_input([1], fp32_contents=[1.0]))
    answer = answer_to(request, FLOWERS, {"half": np.array([1.5], np.float16), "x": np.array([1.0], np.float32)})
    assert list(answer.raw_output_contents) == [b"\x00\x3e", b"\x00\x00\x80\x3f"]


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (asked(given_input([2]), raw=(b"1234",)), "takes 8 bytes; 4 came"),
        (asked(given_input([1]), raw=(b"12345678",)), "takes 4 bytes; 8 came"),
        (asked(given_input([10**12, 4]), raw=(b"1234",)), "4 came"),
        (asked(given_input([-1]), raw=(b"1234",)), "negative dimension"),
        (asked(given_input([1]), given_input([1], name="y"), raw=(b"1234",)), "2 inputs and 1 raw_input_contents"),
        (asked(given_input([1]), given_input([1]), raw=(b"1234",) * 2), "given twice"),
        (asked(given_input([1], fp32_contents=[1.0]), raw=(b"1234",)), "both raw and typed"),
        (asked(given_input([1])), "has 1 elements; its data has 0"),
        (asked(given_input([10**12], fp32_contents=[1.0])), "its data has 1"),
        (asked(given_input([1], fp64_contents=[1.0])), "belongs in fp32_contents, not fp64_contents"),
        (asked(given_input([1], "FP16", fp32_contents=[1.0])), "only raw_input_contents can carry"),
        (asked(given_input([1], "INT8", int_contents=[128])), "beyond the range of INT8"),
        (asked(given_input([1], "FP8"), raw=(b"1",)), "unknown datatype"),
        (asked(given_input([1], "BYTES"), raw=(b"\xff\xff\xff\xff",)), "longer ones"),
    ],
)
def test_what_does_not_fit_is_refused(request_: pb.ModelInferRequest, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        tensors_of(request_)


def test_extensions_that_would_change_the_answer_are_not_passed_over() -> None:
    request = asked(given_input([1], fp32_contents=[1.0]))
    request.outputs.add(name="label").parameters["classification"].int64_param = 3
    with pytest.raises(Unsupported, match="classification"):
        outputs_of(request)
    request.inputs[0].parameters["shared_memory_region"].string_param = "x"
    with pytest.raises(Unsupported, match="shared_memory_region"):
        tensors_of(request)


@given(st.binary(max_size=80))
@settings(max_examples=200, deadline=None)
def test_any_message_is_read_or_refused(data: bytes) -> None:
    request = asked(given_input([2]), raw=(b"12345678",))
    try:
        request.MergeFromString(data)
    except Exception:  # noqa: BLE001 - gRPC answers for what is no message
        return
    try:
        tensors_of(request)
    except ServingError as error:
        assert error.grpc_status in {"INVALID_ARGUMENT", "UNIMPLEMENTED"}  # noqa: PT017 - either is fine
