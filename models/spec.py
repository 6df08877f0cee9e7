"""What a served model is: its features, tensors, labels and provenance, as data.

A model is added by writing a `ModelSpec` and an `Engine`; nothing above this package changes.
Datatype names are those of the Open Inference Protocol v2 (``FP32``, ``BYTES``, ...).
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Rows = NDArray[np.float32]
    """Feature values, shape (rows, features), in the order of `ModelSpec.features`."""

    Probabilities = NDArray[np.float32]
    """Class probabilities, shape (rows, labels), in the order of `ModelSpec.labels`; a row adds up to 1."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Feature(_Frozen):
    """One column of a model's input."""

    name: str
    description: str
    unit: str | None = None
    """Unit of the value, as printed after it ("cm"), or None for a pure number."""
    low: float
    high: float
    """Hard range, inclusive: a value outside it is refused, for no real input could have it."""
    region: str | None = None
    """Where a feature belongs to a larger whole (a pixel to a part of the image), the name of that part:
    explanations speak of regions then, not of single features."""


class TensorSpec(_Frozen):
    """A named tensor of the model, as v2 metadata announces it; -1 is a free dimension."""

    name: str
    datatype: str
    shape: tuple[int, ...]


class ModelSpec(_Frozen):
    """Everything about a model but its weights. Stored beside the weights, as JSON."""

    name: str
    version: str
    framework: str
    """The library that runs it: "scikit-learn", "xgboost" or "torch"."""
    description: str
    features: tuple[Feature, ...]
    labels: tuple[str, ...]
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    metrics: dict[str, float] = Field(default_factory=dict)
    """Held-out figures by name ("accuracy", "average_precision", "base_rate", ...)."""
    trained_at: datetime
    data_source: str
    """Where the training data came from; says plainly when it is synthetic."""
    engine: str = ""
    """Which engine runs it: a key of `models.engines.loader.LOADERS`."""


class Attributions(_Frozen):
    """How much each feature pushed one row's output, and from where it started.

    ``baseline + sum(contributions)`` equals ``output`` within the method's tolerance. All three are in the
    units of `space`, for the class `label`.
    """

    label: str
    """The class whose output is explained: the predicted one."""
    space: str
    """Unit of the figures: "log-odds", "logit" or "probability"."""
    method: str
    """ "linear", "treeshap" or "integrated-gradients"."""
    baseline: float
    output: float
    contributions: tuple[float, ...]
    """One figure a feature, in the order of `ModelSpec.features`."""


class Engine(Protocol):
    """A loaded model. Calls are synchronous, hold no state between rows and may come from any one thread at a time."""

    spec: ModelSpec

    def predict(self, rows: Rows) -> Probabilities:
        """Probabilities for each row; the answer to a row does not depend on its neighbours."""
        ...

    def attribute(self, row: Rows) -> Attributions:
        """Attributions of the predicted class for one row, shape (1, features)."""
        ...
