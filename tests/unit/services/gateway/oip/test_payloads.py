from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.errors import InvalidInput, ServingError, Unsupported
from services.gateway.oip.payloads import decode_request, encode_answer
from tests.stage import FLOWERS

ROWS = np.array([[1, 2, 3], [4, 5, 6]], np.float32)
FEATURES: dict[str, Any] = {"name": "features", "datatype": "FP32", "shape": [2, 3]}


def binary(*inputs: tuple[dict[str, Any], bytes], **fields: Any) -> tuple[bytes, str]:
    """A body with its tensors behind the JSON, and the length of the JSON."""
    described = [{**one, "parameters": {"binary_data_size": len(data)}} for one, data in inputs]
    head = json.dumps({"inputs": described, **fields}).encode()
    return head + b"".join(data for _, data in inputs), str(len(head))


def plain(**changes: Any) -> bytes:
    return json.dumps({"inputs": [{**FEATURES, "data": ROWS.ravel().tolist(), **changes}]}).encode()


def test_json_and_binary_say_the_same() -> None:
    other = {"name": "words", "datatype": "BYTES", "shape": [1]}
    from_json = decode_request(
        json.dumps({"inputs": [{**FEATURES, "data": ROWS.tolist()}, {**other, "data": ["ä"]}]}).encode(), None
    )
    from_binary = decode_request(*binary((FEATURES, ROWS.tobytes()), (other, b"\x02\0\0\0" + "ä".encode())))
    for request in (from_json, from_binary):
        np.testing.assert_array_equal(request.tensors["features"], ROWS)
        assert request.tensors["words"].tolist() == ["ä".encode()]


def test_json_and_binary_inputs_can_be_mixed() -> None:
    head = json.dumps(
        {
            "inputs": [
                {**FEATURES, "name": "a", "data": ROWS.tolist()},
                {**FEATURES, "name": "b", "parameters": {"binary_data_size": 24, "note": 1}},
            ]
        }
    ).encode()
    request = decode_request(head + ROWS.tobytes(), str(len(head)))
    np.testing.assert_array_equal(request.tensors["a"], request.tensors["b"])


@pytest.mark.parametrize(
    ("fields", "flags"),
    [
        ({}, (False, False)),
        ({"parameters": {"binary_data_output": True}}, (True, True)),
        (
            {"outputs": [{"name": "label", "parameters": {"binary_data": True}}, {"name": "probabilities"}]},
            (True, False),
        ),
        (
            {
                "parameters": {"binary_data_output": True, "anything": [1]},
                "outputs": [{"name": "label"}, {"name": "probabilities", "parameters": {"binary_data": False}}],
            },
            (True, False),
        ),
    ],
)
def test_outputs_are_binary_where_asked_for(fields: dict[str, Any], flags: tuple[bool, bool]) -> None:
    request = decode_request(json.dumps({"id": "7", "inputs": [], **fields}).encode(), None)
    label = np.array([b"small", b"large"], object)
    probabilities = np.array([[0.5, 0.5], [0.25, 0.75]], np.float32)
    body, length = encode_answer(FLOWERS, request, {"label": label, "probabilities": probabilities})
    assert (length is not None) == any(flags)
    answer = json.loads(body[:length])
    assert (answer["id"], answer["model_name"], answer["model_version"]) == ("7", "flowers", "v1")
    rest = body[len(body) if length is None else length :]
    raw = {"label": b"\x05\0\0\0small\x05\0\0\0large", "probabilities": probabilities.tobytes()}
    values = {"label": ["small", "large"], "probabilities": [0.5, 0.5, 0.25, 0.75]}
    for output, flag in zip(answer["outputs"], flags, strict=True):
        name = output["name"]
        if flag:
            assert "data" not in output
            assert rest.startswith(raw[name])
            assert output["parameters"]["binary_data_size"] == len(raw[name])
            rest = rest[len(raw[name]) :]
        else:
            assert output["data"] == values[name]
    assert not rest


def test_no_id_is_given_back_for_none() -> None:
    body, _ = encode_answer(FLOWERS, decode_request(b'{"inputs": []}', None), {})
    assert "id" not in json.loads(body)


@pytest.mark.parametrize(
    ("body", "length", "words"),
    [
        (b"", None, "not valid JSON"),
        (b"{", None, "not valid JSON"),
        (b"\xff", None, "not valid JSON"),
        (b'{"a":' * 5000, None, "not valid JSON"),
        (b"[]", None, "Expected `object`"),
        (b"{}", None, "missing required field `inputs`"),
        (b'{"inputs": 1}', None, "inputs: Expected `array`"),
        (b'{"inputs": [{}]}', None, r"inputs\[0\]: Object missing required field `name`"),
        (b'{"inputs": [], "id": 4}', None, "id: Expected"),
        (plain(data=None).replace(b"null", b"[NaN, 1, 2, 3, 4, 5]"), None, "JSON has no NaN"),
        (plain(shape=[2.5, 3]), None, r"inputs\[0\].shape\[0\]"),
        (plain(shape="no"), None, r"inputs\[0\].shape"),
        (plain(parameters={"binary_data_size": 24}), None, "both data and a binary_data_size"),
        (json.dumps({"inputs": [FEATURES]}).encode(), None, "neither data nor"),
        (json.dumps({"inputs": [{**FEATURES, "data": [0] * 6}] * 2}).encode(), None, "given twice"),
        (b'{"inputs": [], "parameters": {"binary_data_output": 1}}', None, "binary_data_output must be a boolean"),
        (b'{"inputs": []}', "", "Inference-Header-Content-Length"),
        (b'{"inputs": []}', "-1", "Inference-Header-Content-Length"),
        (b'{"inputs": []}', "15", "the body, which has 14 bytes"),
        (b'{"inputs": []}', "9" * 5000, "Inference-Header-Content-Length"),
        (b'{"inputs": []}', "\xb2", "Inference-Header-Content-Length"),
        (b'{"inputs": []}x', "14", "1 surplus bytes"),
        (b'{"inputs": []}', "13", "not valid JSON"),
        (*binary((FEATURES, ROWS.tobytes()[:-4])), "takes 24 bytes; 20 came"),
        (*binary(({**FEATURES, "shape": [10**12, 3]}, ROWS.tobytes())), "takes 12000000000000 bytes"),
        (*binary((FEATURES, ROWS.tobytes() + b"x")), "takes 24 bytes; 25 came"),
    ],
)
def test_what_is_wrong_is_said(body: bytes, length: str | None, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        decode_request(body, length)


@pytest.mark.parametrize("size", [25, 2**70, -1, 1.5, True, "24"])
def test_a_binary_size_that_lies_is_refused(size: Any) -> None:
    head = json.dumps({"inputs": [{**FEATURES, "parameters": {"binary_data_size": size}}]}).encode()
    with pytest.raises(InvalidInput, match="'features'"):
        decode_request(head + ROWS.tobytes(), str(len(head)))


@pytest.mark.parametrize("parameter", ["shared_memory_region", "classification"])
def test_extensions_that_would_change_the_answer_are_not_passed_over(parameter: str) -> None:
    with pytest.raises(Unsupported, match=parameter):
        decode_request(plain(parameters={parameter: 1}), None)
    with pytest.raises(Unsupported, match=parameter):
        decode_request(
            json.dumps({"inputs": [], "outputs": [{"name": "label", "parameters": {parameter: 1}}]}).encode(), None
        )


@given(st.integers(0, 250), st.integers(0, 255), st.integers(-3, 3))
@settings(max_examples=300, deadline=None)
def test_a_damaged_request_is_refused_or_read(at: int, value: int, shift: int) -> None:
    body, length = binary((FEATURES, ROWS.tobytes()), id="1")
    damaged = bytearray(body)
    damaged[at % len(damaged)] = value
    try:
        request = decode_request(bytes(damaged), str(int(length) + shift))
    except ServingError as error:
        assert error.error_code < 500 or isinstance(error, Unsupported)  # noqa: PT017 - both ways are fine
        return
    assert sum(array.nbytes for array in request.tensors.values()) <= len(body)


@pytest.mark.parametrize("datatype", ["BYTES", "FP32", "BOOL", "INT8"])
@pytest.mark.parametrize("data", [b'["\xff"]', b'{"\xff": 1}', b'[["\xed\xa0\x80"]]', b'["\\ud800"]'])
def test_data_that_is_not_utf_8_is_refused(datatype: str, data: bytes) -> None:
    body = b'{"inputs": [{"name": "x", "datatype": "%b", "shape": [1], "data": %b}]}' % (datatype.encode(), data)
    with pytest.raises(InvalidInput):
        decode_request(body, None)
