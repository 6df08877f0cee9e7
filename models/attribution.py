"""Attributions put in the order and the words in which people read them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from models.spec import Attributions, ModelSpec


@dataclass(frozen=True, slots=True)
class RankedAttribution:
    """One line of an explanation: a feature, or a region made of many features."""

    feature: str
    """Name of the feature, or of the region."""
    value: float | None
    """What the row holds there; None for a region, which has no single value."""
    unit: str | None
    """Unit of `value`."""
    contribution: float
    """How far it pushed the output, in the units of `Attributions.space`; negative is away from the label."""


def rank(spec: ModelSpec, row: Sequence[float], attributions: Attributions) -> tuple[RankedAttribution, ...]:
    """Every feature, or region where features have one, from the strongest push to the weakest.

    Contributions within a region are added up. Equal strengths keep the order of `ModelSpec.features`.

    Raises:
        ValueError: `row` or the contributions are not one figure a feature.

    """
    lines: dict[str, RankedAttribution] = {}
    for feature, value, contribution in zip(spec.features, row, attributions.contributions, strict=True):
        if feature.region is None:
            lines[feature.name] = RankedAttribution(feature.name, _readable(value), feature.unit, contribution)
        else:
            so_far = lines[feature.region].contribution if feature.region in lines else 0.0
            lines[feature.region] = RankedAttribution(feature.region, None, None, so_far + contribution)
    return tuple(sorted(lines.values(), key=lambda line: -abs(line.contribution)))


def _readable(value: float) -> float:
    """`value` to the seven digits that a float32 holds: 1.4 went into a row, 1.399999976 must not come out."""
    return float(f"{value:.7g}")
