"""What the server and its models say of themselves, in the protocol's words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from services.errors import InvalidInput, Unsupported
from services.runtime import VERSION

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from models.spec import ModelSpec, TensorSpec
    from services.gateway.catalogue import StoredVersion

SERVER_NAME = "tandem"
EXTENSIONS = ("binary_tensor_data", "model_repository", "parameters")


def server_metadata() -> dict[str, Any]:
    """`GET /v2`."""
    return {"name": SERVER_NAME, "version": VERSION, "extensions": EXTENSIONS}


def model_metadata(spec: ModelSpec, versions: Sequence[str]) -> dict[str, Any]:
    """`GET /v2/models/{name}`. What the protocol has no field for is in `parameters`."""
    return {
        "name": spec.name,
        "versions": versions,
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


def repository_index(stored: Iterable[StoredVersion], *, only_ready: bool) -> list[dict[str, str]]:
    """`POST /v2/repository/index`: every version in the model store, or those that are served alone."""
    return [
        {
            "name": one.name,
            "version": one.version,
            "state": "READY" if one.ready else "UNAVAILABLE",
            "reason": one.reason,
        }
        for one in stored
        if one.ready or not only_ready
    ]


def changed_version(parameters: Mapping[str, Any]) -> str:
    """The version that the parameters of a load or unload name; "" when they name none.

    Triton's other parameters bring a configuration or a model's files along, which is not how models come here.
    """
    for name, value in parameters.items():
        if name == "version" and isinstance(value, str):
            continue
        if name == "config" or name.startswith("file:"):
            raise Unsupported(f"Models are loaded from the model store: {name!r} is not offered.", param=name)
        if name == "version":
            raise InvalidInput("version: must be a string.", param=name)
    return str(parameters.get("version", ""))


def _tensors(tensors: Sequence[TensorSpec]) -> list[dict[str, Any]]:
    return [{"name": tensor.name, "datatype": tensor.datatype, "shape": tensor.shape} for tensor in tensors]
