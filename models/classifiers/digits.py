"""A handwritten digit from an 8x8 image: what the model sees and says. No framework is imported."""

from __future__ import annotations

from models.spec import Feature

SIDE = 8
"""Pixels a side."""

LABELS = tuple("0123456789")


_THIRD = (0, 0, 0, 1, 1, 2, 2, 2)
"""Third of the image in which a row or column lies."""


def _region(row: int, column: int) -> str:
    """Name of the cell of a 3x3 grid in which a pixel lies."""
    vertical = ("top", "middle", "bottom")[_THIRD[row]]
    horizontal = ("left", "centre", "right")[_THIRD[column]]
    return "centre" if (vertical, horizontal) == ("middle", "centre") else f"{vertical} {horizontal}"


FEATURES = tuple(
    Feature(
        name=f"pixel_{row}_{column}",
        description=f"Ink in row {row}, column {column}, from 0 (none) to 16",
        low=0.0,
        high=16.0,
        region=_region(row, column),
    )
    for row in range(SIDE)
    for column in range(SIDE)
)
