"""What the server and its models say of themselves, in the protocol's words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from services.runtime import VERSION

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from models.spec import ModelSpec, TensorSpec

SERVER_NAME = "tandem"
EXTENSIONS = ("binary_tensor_data", "model_repository", "parameters")


def server_metadata() -> dict[str, Any]:
    """`GET /v2`."""
    return {"name": SERVER_NAME, "version": VERSION, "extensions": EXTENSIONS}


def model_metadata(spec: ModelSpec) -> dict[str, Any]:
    """`GET /v2/models/{name}`. What the protocol has no field for is in `parameters`."""
    return {
        "name": spec.name,
        "versions": [spec.version],
        "platform": spec.framework,
        "inputs": _tensors(spec.inputs),
        "outputs": _tensors(spec.outputs),
        "parameters": {
            "description": spec.description,
            "features": [
                {
                    "name": feature.name,
                    "description": feature.description,
                    "unit": feature.unit,
                    "low": feature.low,
                    "high": feature.high,
                }
                for feature in spec.features
            ],
            "labels": spec.labels,
            "metrics": spec.metrics,
            "trained_at": spec.trained_at,
            "data_source": spec.data_source,
        },
    }


def repository_index(specs: Iterable[ModelSpec], *, ready: bool) -> list[dict[str, str]]:
    """`POST /v2/repository/index`: every model that is loaded."""
    state, reason = ("READY", "") if ready else ("UNAVAILABLE", "The Classifier does not take requests.")
    return [{"name": spec.name, "version": spec.version, "state": state, "reason": reason} for spec in specs]


def _tensors(tensors: Sequence[TensorSpec]) -> list[dict[str, Any]]:
    return [{"name": tensor.name, "datatype": tensor.datatype, "shape": tensor.shape} for tensor in tensors]
