"""Tensors as numpy arrays, under the datatype names of the Open Inference Protocol v2, and their raw bytes.

Raw bytes are C order and little-endian. A BYTES tensor is an object array of `bytes`; raw, each element is its length as a
uint32, then its bytes. BF16 has no type in numpy itself and is `ml_dtypes.bfloat16`.

Whatever shape is declared, nothing is allocated for it before it was checked against the bytes that came.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np

from services.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    Tensor = NDArray[Any]
    Tensors = Mapping[str, Tensor]

BYTES = "BYTES"
DTYPES: dict[str, np.dtype[Any]] = {
    "BOOL": np.dtype(np.bool_),
    "UINT8": np.dtype("<u1"),
    "UINT16": np.dtype("<u2"),
    "UINT32": np.dtype("<u4"),
    "UINT64": np.dtype("<u8"),
    "INT8": np.dtype("<i1"),
    "INT16": np.dtype("<i2"),
    "INT32": np.dtype("<i4"),
    "INT64": np.dtype("<i8"),
    "FP16": np.dtype("<f2"),
    "BF16": np.dtype(ml_dtypes.bfloat16),
    "FP32": np.dtype("<f4"),
    "FP64": np.dtype("<f8"),
    BYTES: np.dtype(object),
}
"""The dtype of every datatype, by its v2 name."""

_MOST_DIMENSIONS = 64
"""numpy's own bound."""
_LARGEST = 2**63 - 1
_NAMES = {dtype: name for name, dtype in DTYPES.items()}
_LENGTH = struct.Struct("<I")


def datatype_of(array: Tensor) -> str:
    """The v2 name of an array's dtype. KeyError for one that v2 does not have: a bug of the caller."""
    return _NAMES[array.dtype]


def dtype_of(name: str, datatype: str) -> np.dtype[Any]:
    """The dtype that tensor `name` declares; InvalidInput when v2 has no such datatype."""
    dtype = DTYPES.get(datatype)
    if dtype is None:
        raise InvalidInput(f"Tensor {name!r} has the unknown datatype {datatype!r}.", param=name)
    return dtype


def count_of(name: str, shape: Sequence[int]) -> int:
    """How many elements the declared `shape` of tensor `name` has; InvalidInput for one that no tensor can have."""
    count = 1
    # The product of half a million sizes would take minutes.
    possible = len(shape) <= _MOST_DIMENSIONS
    for size in shape if possible else ():
        if size < 0:
            raise InvalidInput(f"Tensor {name!r} has a negative dimension in its shape.", param=name)
        possible = possible and size <= _LARGEST
        count *= size
    if not possible:
        raise InvalidInput(f"Tensor {name!r} has an impossible shape.", param=name)
    return count


def shaped(name: str, array: Tensor, shape: Sequence[int]) -> Tensor:
    """`array` in the shape that tensor `name` declares, whose elements were counted before."""
    try:
        return array.reshape(tuple(shape))
    except ValueError:  # more dimensions than numpy has, or an empty one beside others past its reach
        raise InvalidInput(f"Tensor {name!r} has an impossible shape.", param=name) from None


def from_raw(name: str, datatype: str, shape: Sequence[int], data: bytes | memoryview) -> Tensor:
    """Tensor `name` from its raw bytes, all of them: a read-only view where the elements have a fixed size.

    Raises InvalidInput when datatype, shape and bytes do not fit together.
    """
    dtype = dtype_of(name, datatype)
    count = count_of(name, shape)
    if dtype.hasobject:
        array, end = parse_bytes(name, count, data, 0)
        if end != len(data):
            raise InvalidInput(f"Tensor {name!r} has {len(data) - end} surplus bytes.", param=name)
        return shaped(name, array, shape)
    if count * dtype.itemsize != len(data):
        raise InvalidInput(
            f"Tensor {name!r} of shape {list(shape)} and datatype {datatype} takes {count * dtype.itemsize} bytes; "
            f"{len(data)} came.",
            param=name,
        )
    return shaped(name, parse_fixed(name, dtype, count, data, 0), shape)


def to_raw(array: Tensor) -> bytes:
    """The raw bytes of an array."""
    if array.dtype.hasobject:
        return b"".join(part for element in array.flat for part in (_LENGTH.pack(len(element)), element))
    return array.tobytes()


def parse_fixed(name: str, dtype: np.dtype[Any], count: int, data: bytes | memoryview, start: int) -> Tensor:
    """`count` elements of fixed size at `start` of `data`, which is known to hold them."""
    array = np.frombuffer(data, dtype, count, start)
    if dtype.kind == "b" and count and array.view(np.uint8).max() > 1:
        raise InvalidInput(f"Tensor {name!r} is BOOL and holds a byte that is neither 0 nor 1.", param=name)
    return array


def parse_bytes(name: str, count: int, data: bytes | memoryview, start: int) -> tuple[Tensor, int]:
    """`count` elements of a BYTES tensor at `start` of `data`, and where they end; InvalidInput when it is too short."""
    too_short = InvalidInput(f"Tensor {name!r} declares more elements or longer ones than its bytes hold.", param=name)
    if count * _LENGTH.size > len(data) - start:
        raise too_short
    elements: list[bytes] = []
    for _ in range(count):
        begin = start + _LENGTH.size
        if begin > len(data):
            raise too_short
        start = begin + _LENGTH.unpack_from(data, begin - _LENGTH.size)[0]
        if start > len(data):
            raise too_short
        elements.append(bytes(data[begin:start]))
    return object_array(elements), start


def object_array(elements: Sequence[bytes]) -> Tensor:
    """A BYTES tensor of one dimension."""
    array = np.empty(len(elements), object)
    array[:] = elements
    return array
