"""Payloads of several inputs put together into one call, and its outputs taken apart again, by row."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from services.errors import InternalError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from models.spec import ModelSpec
    from services.tensors import Tensors


def row_count(payload: Tensors) -> int:
    """Rows in a payload whose tensors all count rows in their first dimension."""
    return len(next(iter(payload.values())))


def grouped(payloads: Sequence[Tensors]) -> Iterable[list[int]]:
    """Which payloads, by index, can share a call: those whose tensors differ in the number of rows alone."""
    groups: dict[tuple[object, ...], list[int]] = {}
    for index, payload in enumerate(payloads):
        key = tuple((name, array.shape[1:]) for name, array in sorted(payload.items()))
        groups.setdefault(key, []).append(index)
    return groups.values()


def stacked(payloads: Sequence[Tensors]) -> Tensors:
    """One payload with the rows of all, in order."""
    return {name: np.concatenate([payload[name] for payload in payloads]) for name in payloads[0]}


def split(spec: ModelSpec, outputs: Tensors, counts: Sequence[int]) -> list[Tensors]:
    """The part of each payload, by its number of rows. Raises InternalError when the model lost or made up rows."""
    for name, array in outputs.items():
        if len(array) != sum(counts):
            raise InternalError(f"{spec.name} answered {sum(counts)} rows with {len(array)} of {name!r}.")
    results: list[Tensors] = []
    start = 0
    for count in counts:
        results.append({name: array[start : start + count] for name, array in outputs.items()})
        start += count
    return results
