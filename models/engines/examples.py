"""One call's inputs, kept beside a model that takes any tensors: what it was checked with, and is warmed up with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from models.spec import ModelSpec, Tensors, TensorSpec

EXAMPLE_FILE = "example.npz"
_DTYPES = {
    "BOOL": np.bool_,
    "UINT8": np.uint8,
    "UINT16": np.uint16,
    "UINT32": np.uint32,
    "UINT64": np.uint64,
    "INT8": np.int8,
    "INT16": np.int16,
    "INT32": np.int32,
    "INT64": np.int64,
    "FP16": np.float16,
    "FP32": np.float32,
    "FP64": np.float64,
}


def write(folder: Path, tensors: Tensors) -> None:
    """Keep `tensors` in `folder`, without pickle: BYTES as fixed-width bytes."""
    plain = {name: array.astype(bytes) if array.dtype.hasobject else array for name, array in tensors.items()}
    with (folder / EXAMPLE_FILE).open("wb") as file:
        np.savez(file, **plain)  # type: ignore[arg-type] # mypy takes the names for options


def read(spec: ModelSpec, folder: Path) -> dict[str, NDArray[Any]]:
    """What was kept in `folder`, or zeros with one row where nothing was."""
    if not (folder / EXAMPLE_FILE).is_file():
        return {tensor.name: zeros(tensor) for tensor in spec.inputs}
    with np.load(folder / EXAMPLE_FILE, allow_pickle=False) as kept:
        arrays = {name: kept[name] for name in kept.files}
    return {name: array.astype(object) if array.dtype.kind == "S" else array for name, array in arrays.items()}


def zeros(tensor: TensorSpec) -> NDArray[Any]:
    """A tensor of zeros or empty strings, with 1 for every free dimension."""
    shape = tuple(1 if size == -1 else size for size in tensor.shape)
    if tensor.datatype == "BYTES":
        return np.full(shape, b"", object)
    return np.zeros(shape, dtype_of(tensor.datatype))


def dtype_of(datatype: str) -> np.dtype[Any]:
    """The dtype of a v2 datatype, save BYTES. Raises ValueError for one that numpy does not have."""
    try:
        return np.dtype(_DTYPES[datatype])
    except KeyError:
        raise ValueError(f"datatype {datatype!r} is not one of {', '.join((*_DTYPES, 'BYTES'))}") from None


def datatype_of(dtype: np.dtype[Any]) -> str:
    """The v2 datatype of a dtype. Raises ValueError for one that v2 does not have."""
    if dtype.kind in "OSU":
        return "BYTES"
    for name, known in _DTYPES.items():
        if dtype == known:
            return name
    raise ValueError(f"the protocol has no datatype for {dtype}")
