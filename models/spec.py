"""What a served model is: its features, tensors, labels and provenance, as data.

A model is added by writing a `ModelSpec` and an `Engine`; nothing above this package changes.
Datatype names are those of the Open Inference Protocol v2 (``FP32``, ``BYTES``, ...).
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    Rows = NDArray[np.float32]
    """Feature values, shape (rows, features), in the order of `ModelSpec.features`."""

    Tensors = Mapping[str, NDArray[Any]]
    """Arrays by tensor name. BYTES is an object array of `bytes`."""

    Probabilities = NDArray[np.float32]
    """Class probabilities, shape (rows, labels), in the order of `ModelSpec.labels`; a row adds up to 1."""


UNBOUNDED = 3.4028234663852886e38
"""`Feature.high` where nobody has said a range, and `low` with a minus: the largest number that FP32 holds."""


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
    typical: float | None = None
    """A value as it often is, where one is known: models are warmed up with it, and explanations may start from it."""
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
    """The library that it comes from: "scikit-learn", "xgboost", "torch" or "onnx"."""
    description: str
    features: tuple[Feature, ...]
    """Columns of the input of a model that takes a table; empty for one that takes any other tensors."""
    labels: tuple[str, ...]
    """Classes that it tells apart; empty for a model that is no classifier."""
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    metrics: dict[str, float] = Field(default_factory=dict)
    """Held-out figures by name ("accuracy", "average_precision", "base_rate", ...)."""
    trained_at: datetime
    data_source: str
    """Where the training data came from; says plainly when it is synthetic."""
    engine: str = ""
    """Which engine runs it: a key of `models.engines.loader.LOADERS`."""
    trusted_pickle: bool = False
    """Whether loading it runs a pickle: only ever true for one that its owner said to trust when it was stored."""

    rows_are_independent: bool = True
    """False for a model whose first dimension is free and does not count independent rows."""

    @property
    def batches(self) -> bool:
        """Whether the first dimension of every tensor counts independent rows, so that calls may be joined along it."""
        free = all(tensor.shape[:1] == (-1,) for tensor in (*self.inputs, *self.outputs))
        return free and self.rows_are_independent

    @property
    def is_classifier(self) -> bool:
        """Whether it takes rows of named features and gives probabilities of named labels, as `Engine` does."""
        takes_features = [tensor.name for tensor in self.inputs] == ["features"] and bool(self.features)
        return takes_features and bool(self.labels) and {t.name for t in self.outputs} <= {"label", "probabilities"}


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
    """ "linear", "treeshap", "integrated-gradients" or "sampled-shapley"."""
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


class TensorEngine(Protocol):
    """A loaded model that is no classifier. Calls are synchronous, as an `Engine`'s are."""

    spec: ModelSpec

    def infer(self, tensors: Tensors) -> dict[str, NDArray[Any]]:
        """The outputs that `ModelSpec.outputs` names, for exactly the inputs that `ModelSpec.inputs` names.

        Where `ModelSpec.batches`, the answer to a row does not depend on its neighbours. Raises BadInput when the model refuses them.
        """
        ...


AnyEngine = Engine | TensorEngine
