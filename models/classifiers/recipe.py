"""What every shipped classifier has in common: how it is described, trained, judged and checked."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, cast

import numpy as np

from models.engines.loader import load_engine
from models.spec import ModelSpec, TensorSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from models.spec import Engine, Feature, Probabilities, Rows

PARITY = 1e-5
"""Most that a served probability may differ from that of the library that trained the model."""
_CALIBRATION_BINS = 10


class TrainingFailed(Exception):
    """A trained model is not good enough to be stored; the message says in which figure."""


@dataclass(frozen=True, slots=True)
class Trained:
    """A model fresh from training, not stored yet."""

    spec: ModelSpec
    write: Callable[[Path], None]
    """Writes the weights into a folder, as the engine that `spec` names reads them."""
    rows: Rows
    """Rows that the model has not been trained on, where there are such."""
    probabilities: Probabilities
    """What the training library itself says of `rows`."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How one classifier is made."""

    train: Callable[[], Trained]
    floors: Mapping[str, float]
    """Least value of a metric with which the model is stored."""


def classifier_spec(
    *,
    name: str,
    framework: str,
    engine: str,
    description: str,
    features: tuple[Feature, ...],
    labels: tuple[str, ...],
    metrics: Mapping[str, float],
    data_source: str,
) -> ModelSpec:
    """The spec of a classifier just trained: one tensor of features in, labels and probabilities out."""
    return ModelSpec(
        name=name,
        version="unsaved",
        framework=framework,
        engine=engine,
        description=description,
        features=features,
        labels=labels,
        inputs=(TensorSpec(name="features", datatype="FP32", shape=(-1, len(features))),),
        outputs=(
            TensorSpec(name="label", datatype="BYTES", shape=(-1,)),
            TensorSpec(name="probabilities", datatype="FP32", shape=(-1, len(labels))),
        ),
        metrics={metric: round(float(value), 4) for metric, value in metrics.items()},
        trained_at=datetime.now(UTC).replace(microsecond=0),
        data_source=data_source,
    )


def check(trained: Trained, folder: Path, floors: Mapping[str, float]) -> None:
    """Hold a model to its floors, and what was written into `folder` to what the training library says.

    Raises:
        TrainingFailed: a metric is below its floor, or the served probabilities differ by more than `PARITY`.

    """
    spec = trained.spec
    for metric, floor in floors.items():
        if not spec.metrics[metric] >= floor:
            raise TrainingFailed(f"{spec.name}: {metric} is {spec.metrics[metric]:.4f}, at least {floor} is asked for.")
    served = cast("Engine", load_engine(spec, folder)).predict(trained.rows)
    difference = float(np.abs(served - trained.probabilities).max())
    if not difference <= PARITY:
        raise TrainingFailed(f"{spec.name}: served probabilities differ from {spec.framework}'s by {difference:.1e}.")


def calibration_error(truth: NDArray[np.int64], probabilities: NDArray[np.floating]) -> float:
    """Expected calibration error: how far confidence and accuracy lie apart, on average over ten equal bins.

    Args:
        truth: the right label of each row, as an index.
        probabilities: shape (rows, labels).

    """
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == truth
    bins = np.minimum((confidence * _CALIBRATION_BINS).astype(int), _CALIBRATION_BINS - 1)
    gaps = [abs(float((right[bins == one] - confidence[bins == one]).sum())) for one in np.unique(bins)]
    return sum(gaps) / len(truth)
