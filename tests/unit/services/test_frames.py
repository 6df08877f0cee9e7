from __future__ import annotations

import math
import struct
import tracemalloc

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from services.errors import InvalidInput
from services.frames import FrameHeader, TensorHeader, decode_frame, encode_frame
from services.tensors import DTYPES

ROWS = np.arange(6, dtype=np.float32).reshape(2, 3)
ARRAYS = st.sampled_from(sorted(DTYPES.keys() - {"BYTES", "BF16"})).flatmap(
    lambda name: hnp.arrays(DTYPES[name], hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3))
)


def frame_of(*tensors: TensorHeader, data: bytes = b"", magic: bytes = b"TDM1") -> bytes:
    """A frame whose header says what it likes."""
    header = msgspec.msgpack.encode(FrameHeader("iris", "v1", tensors))
    return struct.pack("<4sI", magic, len(header)) + header + data


@given(st.dictionaries(st.text(max_size=8), ARRAYS, max_size=3), st.text(max_size=8), st.text(max_size=8), st.floats(0))
@settings(max_examples=50)
def test_round_trip(tensors: dict[str, np.ndarray], model: str, told: str, timeout: float) -> None:
    frame = encode_frame(model, "v1", tensors, traceparent=told, tracestate=told[1:], timeout=timeout)
    header, decoded = decode_frame(frame)
    assert (header.model, header.version) == (model, "v1")
    assert (header.traceparent, header.tracestate, header.timeout) == (told, told[1:], timeout)
    assert list(decoded) == list(tensors)
    for name, array in tensors.items():
        assert decoded[name].dtype == array.dtype
        assert decoded[name].shape == array.shape
        np.testing.assert_array_equal(decoded[name], array)


@pytest.mark.parametrize("array", [ROWS[:, ::-1], ROWS.T, np.asfortranarray(ROWS), ROWS.astype(">f4"), ROWS[::2, 1:]])
def test_any_memory_layout_crosses(array: np.ndarray) -> None:
    _, decoded = decode_frame(encode_frame("iris", "v1", {"features": array}))
    np.testing.assert_array_equal(decoded["features"], array)


def test_decoded_arrays_cannot_be_written() -> None:
    _, decoded = decode_frame(encode_frame("iris", "v1", {"features": ROWS}))
    with pytest.raises(ValueError, match="read-only"):
        decoded["features"][0, 0] = 1


def test_dtype_that_no_frame_carries_is_a_bug_of_the_caller() -> None:
    with pytest.raises(KeyError):
        encode_frame("iris", "v1", {"features": np.zeros(3, np.complex64)})


@given(st.integers(0, 100))
def test_truncated_frame_is_refused(missing: int) -> None:
    frame = encode_frame("iris", "v1", {"features": ROWS})
    with pytest.raises(InvalidInput):
        decode_frame(frame[: max(0, len(frame) - 1 - missing)])


@given(st.binary(max_size=64))
def test_arbitrary_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(InvalidInput):
        decode_frame(data)


@given(st.integers(0, 60), st.integers(0, 255))
def test_damaged_frame_is_refused_or_read(at: int, value: int) -> None:
    frame = bytearray(encode_frame("iris", "v1", {"features": ROWS}))
    frame[at % len(frame)] = value
    try:
        _, tensors = decode_frame(bytes(frame))
    except InvalidInput:
        return
    assert all(array.nbytes <= len(frame) for array in tensors.values())


def test_frame_of_a_sender_that_knows_less_is_read() -> None:
    header, _ = decode_frame(struct.pack("<4sI", b"TDM1", 7) + b"\x94\xa1m\xa1v\x90\xa0")
    assert (header.model, header.traceparent, header.timeout) == ("m", "", math.inf)


def test_surplus_bytes_are_refused() -> None:
    with pytest.raises(InvalidInput, match="2 surplus bytes"):
        decode_frame(encode_frame("iris", "v1", {"features": ROWS}) + b"xx")


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (frame_of(magic=b"TDM2"), "not a tensor frame"),
        (struct.pack("<4sI", b"TDM1", 2**31) + b"x", "not a tensor frame"),
        (struct.pack("<4sI", b"TDM1", 3) + b"\xa1\xff\xff", "header is malformed"),
        (struct.pack("<4sI", b"TDM1", 9) + b"\x94\xa1\xff\xa0\x90\xa0\xc0\xc0\xc0", "header is malformed"),
        (struct.pack("<4sI", b"TDM1", 60_000) + b"\x91" * 60_000, "header is malformed"),
        (struct.pack("<4sI", b"TDM1", 13) + b"\x96\xa1m\xa1v\x90\xa0\xa0\xa4soon", "header is malformed"),
        (frame_of(TensorHeader("features", "FP32", (2, 3)), data=b"x" * 23), "more elements"),
        (frame_of(TensorHeader("features", "FP32", (-1, 3))), "negative dimension"),
        (frame_of(TensorHeader("features", "FP32", (-2, -3)), data=b"x" * 24), "negative dimension"),
        (frame_of(TensorHeader("features", "FP8", (1,)), data=b"x"), "unknown datatype"),
        (frame_of(TensorHeader("features", "BYTES", (1,)), data=b"x"), "more elements"),
        (frame_of(TensorHeader("features", "BYTES", (1,)), data=b"\x02\0\0\0x"), "more elements"),
        (frame_of(TensorHeader("features", "BYTES", (2,)), data=b"\x04\0\0\0xxxx"), "more elements"),
        (frame_of(TensorHeader("features", "BYTES", (2**40,)), data=b"\0" * 64), "more elements"),
        (frame_of(TensorHeader("features", "FP32", (2**62, 2**62))), "more elements"),
        (frame_of(TensorHeader("features", "FP32", (0, 2**62))), "shape"),
        (frame_of(TensorHeader("features", "FP32", (0,) * 70)), "shape"),
        (frame_of(TensorHeader("features", "FP32", (1,) * 70), data=b"xxxx"), "shape"),
    ],
)
def test_frame_that_lies_is_refused(frame: bytes, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        decode_frame(frame)


def test_refused_tensor_is_named() -> None:
    with pytest.raises(InvalidInput) as caught:
        decode_frame(frame_of(TensorHeader("features", "FP32", (4,))))
    assert caught.value.param == "features"


def test_huge_shapes_allocate_nothing() -> None:
    frame = frame_of(TensorHeader("features", "FP64", (2**31, 2**20)))
    tracemalloc.start()
    try:
        with pytest.raises(InvalidInput):
            decode_frame(frame)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2**20
