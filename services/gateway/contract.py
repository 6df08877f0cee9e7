"""What one model takes and gives, by tensor: every tensor protocol's requests are held to it before they meet others.

A request that passes cannot make its batch fail for a reason of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from services.errors import InvalidInput
from services.tensors import datatype_of, object_array

if TYPE_CHECKING:
    from collections.abc import Sequence

    from models.spec import Feature, ModelSpec, TensorSpec
    from services.tensors import Tensor, Tensors

_FEW = 32
"""Values up to which a loop takes less time than numpy."""
_ALSO_TAKEN = {"FP32": ("FP64",)}
"""Datatypes of a classifier's `features` that are taken beside the announced one."""


class Contract:
    """The inputs and outputs of one model."""

    def __init__(self, spec: ModelSpec, max_rows: int) -> None:
        """`max_rows` bounds the first dimension of models that take rows."""
        self.takes_rows = spec.batches
        """Whether the first dimension of every tensor counts rows, so that requests can share a batch."""
        self.is_classifier = spec.is_classifier
        self._model = spec.name
        self._inputs = {tensor.name: tensor for tensor in spec.inputs}
        self._outputs = tuple(tensor.name for tensor in spec.outputs)
        self._max_rows = max_rows
        self._features = spec.features if spec.is_classifier else ()
        self._ranges = [(feature.low, feature.high) for feature in self._features]
        self._low, self._high = np.array(self._ranges).reshape(-1, 2).T
        self._labels = object_array([label.encode() for label in spec.labels])

    def check(self, tensors: Tensors) -> dict[str, Tensor]:
        """The inputs as the model wants them. Raises InvalidInput, naming the tensor, unless they fit it."""
        for name in tensors:
            if name not in self._inputs:
                takes = ", ".join(map(repr, self._inputs))
                raise InvalidInput(f"{self._model} has no input {name!r}; it takes {takes}.", param=name)
        checked = {}
        for name, declared in self._inputs.items():
            array = tensors.get(name)
            if array is None:
                raise InvalidInput(f"Input {name!r} is missing.", param=name)
            self._check_type(declared, array)
            self._check_shape(declared, array)
            checked[name] = array
        if self.takes_rows:
            self._check_rows(checked)
        if self._features:
            checked["features"] = self._in_range(checked["features"])
        return checked

    def wanted(self, outputs: Sequence[str]) -> tuple[str, ...]:
        """The outputs that are asked for: all of them when none is named. Raises InvalidInput for an unknown one."""
        if not outputs:
            return self._outputs
        for position, name in enumerate(outputs):
            if name not in self._outputs:
                gives = ", ".join(map(repr, self._outputs))
                raise InvalidInput(f"{self._model} has no output {name!r}; it gives {gives}.", param=name)
            if name in outputs[:position]:
                raise InvalidInput(f"Output {name!r} is asked for twice.", param=name)
        return tuple(outputs)

    def labels(self, probabilities: Tensor) -> Tensor:
        """The most probable label of each row, as BYTES."""
        labels: Tensor = self._labels[probabilities.argmax(axis=1)]
        return labels

    def _check_type(self, declared: TensorSpec, array: Tensor) -> None:
        datatype = datatype_of(array)
        also = _ALSO_TAKEN.get(declared.datatype, ()) if self._features else ()
        if datatype != declared.datatype and datatype not in also:
            takes = " or ".join((declared.datatype, *also))
            raise InvalidInput(
                f"Input {declared.name!r} has datatype {datatype}; {self._model} takes {takes}.", param=declared.name
            )

    def _check_shape(self, declared: TensorSpec, array: Tensor) -> None:
        shape = array.shape
        if len(shape) == len(declared.shape):
            for wanted, size in zip(declared.shape, shape, strict=True):
                if wanted not in (-1, size):
                    break
            else:
                return
        raise InvalidInput(
            f"Input {declared.name!r} has shape {list(shape)}; {self._model} takes {list(declared.shape)}.",
            param=declared.name,
        )

    def _check_rows(self, tensors: Tensors) -> None:
        rows = {len(array) for array in tensors.values()}
        if len(rows) > 1:
            raise InvalidInput(f"The inputs have different numbers of rows: {', '.join(map(str, sorted(rows)))}.")
        for count in rows:
            if count > self._max_rows:
                raise InvalidInput(f"The inputs have {count} rows; at most {self._max_rows} are taken.")

    def _in_range(self, rows: Tensor) -> np.ndarray[Any, np.dtype[np.float32]]:
        if rows.size <= _FEW:
            fit = all(
                low <= x <= high for row in rows.tolist() for x, (low, high) in zip(row, self._ranges, strict=True)
            )
            if fit:  # NaN does not
                return rows.astype(np.float32, copy=False)
        fits = (rows >= self._low) & (rows <= self._high)
        if not fits.all():
            row, column = (int(index[0]) for index in np.nonzero(~fits))
            raise _out_of_range(f"features[{row}, {column}]", self._features[column], float(rows[row, column]))
        return rows.astype(np.float32, copy=False)


def _out_of_range(where: str, feature: Feature, value: float) -> InvalidInput:
    unit = f" {feature.unit}" if feature.unit else ""
    problem = (
        f"must be between {feature.low:g} and {feature.high:g}{unit}"
        if np.isfinite(value)
        else "must be a finite number"
    )
    return InvalidInput(f"{where} ({feature.name}): {problem}.", param=where)
