"""Tensor elements as JSON values: numbers, booleans and strings, flat or nested, in row-major order."""

from __future__ import annotations

import math
from itertools import chain
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from services.errors import InvalidInput
from services.tensors import BYTES, count_of, dtype_of, object_array, shaped

if TYPE_CHECKING:
    from collections.abc import Sequence

    from services.tensors import Tensor

_LIMITS = {"FP16": 65520.0, "BF16": 2.0**128 - 2.0**119, "FP32": 2.0**128 - 2.0**103, "FP64": math.inf}
"""What each datatype would round to infinity: half a step past its largest number."""
_TYPES: dict[str, set[type]] = {**{name: {int, float} for name in _LIMITS}, BYTES: {str}, "BOOL": {bool}}
"""Python types of the JSON values that a datatype takes; integers alone where it is not listed."""
_WORDS = {
    str: "a string",
    float: "a fraction",
    int: "a number",
    bool: "a boolean",
    list: "an array",
    type(None): "null",
}
_decode_floats = msgspec.json.Decoder(list[float]).decode
_decode_any = msgspec.json.Decoder().decode


def from_json(name: str, datatype: str, shape: Sequence[int], data: msgspec.Raw) -> Tensor:
    """Tensor `name` from the JSON array `data`.

    Raises InvalidInput when datatype, shape and values do not fit together; no number is wrapped, cut or rounded to
    infinity in silence.
    """
    dtype = dtype_of(name, datatype)
    count = count_of(name, shape)
    values = _flat_values(name, datatype, shape, data)
    if len(values) != count:
        raise InvalidInput(
            f"Tensor {name!r} of shape {list(shape)} has {count} elements; its data has {len(values)}.", param=name
        )
    if datatype == BYTES:
        return shaped(name, object_array([value.encode() for value in values]), shape)
    limit = _LIMITS.get(datatype)
    if limit is not None and values and not (max(values) < limit and min(values) > -limit):
        raise _beyond(name, datatype)
    try:
        return shaped(name, np.array(values, dtype), shape)
    except OverflowError:
        raise _beyond(name, datatype) from None


def to_json(name: str, array: Tensor) -> list[Any]:
    """The elements of an array, flat. Raises InvalidInput for bytes that are no text, which JSON cannot carry."""
    values: list[Any] = array.ravel().tolist()
    if not array.dtype.hasobject:
        return values
    try:
        return [value.decode() for value in values]
    except UnicodeDecodeError:
        raise InvalidInput(
            f"Output {name!r} holds bytes that are not UTF-8: ask for it with the parameter `binary_data`.", param=name
        ) from None


def _flat_values(name: str, datatype: str, shape: Sequence[int], data: msgspec.Raw) -> list[Any]:
    if datatype in _LIMITS:
        try:
            return _decode_floats(data)
        except (msgspec.ValidationError, UnicodeDecodeError):
            pass  # nested, or wrong: what follows tells
    try:
        values = _decode_any(data)
    except msgspec.ValidationError:
        raise _beyond(name, datatype) from None
    except UnicodeDecodeError:
        raise InvalidInput(f"The data of tensor {name!r} is not UTF-8.", param=name) from None
    except RecursionError:
        raise InvalidInput(f"The data of tensor {name!r} is nested too deeply.", param=name) from None
    if not isinstance(values, list):
        raise InvalidInput(f"Tensor {name!r} needs an array of values as its data.", param=name)
    values, sizes = _flattened(name, values)
    if len(sizes) > 1 and sizes != list(shape):
        raise InvalidInput(f"Tensor {name!r} declares shape {list(shape)}; its data has {sizes}.", param=name)
    wrong = set(map(type, values)) - _TYPES.get(datatype, {int})
    if wrong:
        got = ", ".join(sorted(_WORDS.get(kind, "an object") for kind in wrong))
        raise InvalidInput(f"Tensor {name!r} is {datatype}; its data holds {got}.", param=name)
    return values


def _flattened(name: str, values: list[Any]) -> tuple[list[Any], list[int]]:
    """The innermost values in order, and how many there are at each level of nesting."""
    sizes = [len(values)]
    while values and type(values[0]) is list:
        lengths = {len(value) if type(value) is list else None for value in values}
        size = lengths.pop()
        if lengths or size is None:
            raise InvalidInput(f"The data of tensor {name!r} is nested unevenly.", param=name)
        sizes.append(size)
        values = list(chain.from_iterable(values))
    return values, sizes


def _beyond(name: str, datatype: str) -> InvalidInput:
    return InvalidInput(f"Tensor {name!r} holds a number beyond the range of {datatype}.", param=name)
