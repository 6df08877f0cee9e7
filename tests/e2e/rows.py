"""A good row of each model, and a request with one, as clients send them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from models.spec import ModelSpec

IRIS = {"sepal_length": 5.1, "sepal_width": 3.5, "petal_length": 1.4, "petal_width": 0.2}
"""Fisher's first flower, a setosa."""
CLASSIFY: dict[str, Any] = {"model": "iris", "rows": [IRIS]}


def middle_row(spec: ModelSpec) -> dict[str, float]:
    """A row with every feature in the middle of its range."""
    return {feature.name: (feature.low + feature.high) / 2 for feature in spec.features}
