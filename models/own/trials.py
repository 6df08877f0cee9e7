"""Trying a model of any tensors: with which inputs, and whether rows that travel together get their own answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from models.engines.examples import dtype_of, zeros

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from models.own.draft import Wishes
    from models.spec import Tensors, TensorSpec

_TOLERANCE = 1e-4
_ROWS = 2


def example_of(inputs: tuple[TensorSpec, ...], wishes: Wishes) -> dict[str, NDArray[Any]]:
    """Inputs for one call: the owner's example where the model has one input, else zeros."""
    if wishes.example is not None and len(inputs) == 1:
        array = np.ascontiguousarray(wishes.example[:_ROWS], dtype_of(inputs[0].datatype))
        return {inputs[0].name: array if inputs[0].shape[:1] == (-1,) else array[: inputs[0].shape[0]]}
    return {tensor.name: zeros(tensor) for tensor in inputs}


def independent(
    infer: Callable[[Tensors], Tensors],
    inputs: tuple[TensorSpec, ...],
    outputs: tuple[TensorSpec, ...],
    example: Tensors,
) -> bool:
    """Whether the first dimension of every tensor counts rows, and rows do not touch each other."""
    if not all(tensor.shape[:1] == (-1,) for tensor in (*inputs, *outputs)):
        return False
    generator = np.random.default_rng(2)
    rows = [
        {
            tensor.name: _random(generator, example[tensor.name][:1])
            if all(size != 0 for size in example[tensor.name].shape)
            else example[tensor.name]
            for tensor in inputs
        }
        for _ in range(3)
    ]
    try:
        alone = [infer(one) for one in rows]
        together = infer({name: np.concatenate([one[name] for one in rows]) for name in rows[0]})
    except Exception:  # noqa: BLE001 - it does not take such a call, whatever the reason
        return False
    return all(_same(np.concatenate([one[name] for one in alone]), together[name]) for name in together)


def _random(generator: np.random.Generator, row: NDArray[Any]) -> NDArray[Any]:
    """A row like `row`, with other numbers near it."""
    if row.dtype.kind == "f":
        return np.asarray(row + generator.normal(size=row.shape).astype(row.dtype))
    if row.dtype.kind in "iu":
        return np.asarray(row + generator.integers(0, 2, row.shape).astype(row.dtype))
    return row


def _same(first: NDArray[Any], second: NDArray[Any]) -> bool:
    if first.shape != second.shape:
        return False
    if first.dtype.kind == "f":
        return bool(np.allclose(first, second, rtol=_TOLERANCE, atol=_TOLERANCE, equal_nan=True))
    return bool((first == second).all())
