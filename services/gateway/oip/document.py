"""The Open Inference Protocol v2 over REST, as the OpenAPI document has it."""

from __future__ import annotations

from typing import Any

from services.gateway.oip.rest import MODELS_PREFIX, REPOSITORY_PREFIX
from services.gateway.openapi import JSON, Operation, array_of, nullable, object_of, ref
from services.tensors import DTYPES

_TAG = "Open Inference Protocol v2"
_ERROR = "InferenceError"
_BINARY = "application/octet-stream"
_STRING: dict[str, Any] = {"type": "string"}
_ANYTHING: dict[str, Any] = {"type": "object"}
_DATATYPE = {"enum": [*DTYPES]}
_SIZE: dict[str, Any] = {"type": "integer", "minimum": 0}
_LENGTH = {
    "description": "Bytes of the JSON, where raw tensors follow it in the body.",
    "schema": {"type": "integer", "minimum": 0},
}
_LENGTH_NAME = "inference-header-content-length"
_INFER = "a key with the scope `infer`"
_ADMIN = "a key with the scope `admin`"


def operations() -> tuple[Operation, ...]:
    """Its operations."""
    return (
        _get("/v2", "server_metadata", "The server's name, version and extensions.", ref("ServerMetadata")),
        Operation(
            "GET", "/v2/health/live", _TAG, "server_live", "The gateway answers.", _json(ref("Live")), scopes=None
        ),
        Operation(
            "GET",
            "/v2/health/ready",
            _TAG,
            "server_ready",
            "Every model of this protocol takes requests.",
            _json(ref("Ready")),
            error=_ERROR,
            errors=(503,),
            scopes=None,
        ),
        _post(
            "/v2/repository/index",
            "repository_index",
            "What the model store holds.",
            object_of({}, {"ready": {"type": "boolean", "description": "What is served alone."}}),
            array_of(ref("StoredVersion")),
        ),
        *(
            _post(
                f"{REPOSITORY_PREFIX}{{model}}/{change}",
                f"{change}_model",
                summary,
                object_of({}, {"parameters": object_of({}, {"version": _STRING})}),
                object_of({}, additionalProperties=False),
                (404, 413, 501),
                _ADMIN,
            )
            for change, summary in (("load", "Serve a stored model."), ("unload", "Serve a model no more."))
        ),
        *_of_model("", ""),
        *_of_model("/versions/{version}", "_version"),
    )


def schemas() -> dict[str, Any]:
    """Its components."""
    parameters = {"parameters": nullable(_ANYTHING)}
    tensor: dict[str, Any] = {"name": _STRING, "datatype": _DATATYPE, "shape": array_of(_SIZE)}
    return {
        _ERROR: object_of({"error": _STRING}, additionalProperties=False),
        "Live": object_of({"live": {"const": True}}),
        "Ready": object_of({"ready": {"const": True}}),
        "ServerMetadata": object_of({"name": _STRING, "version": _STRING, "extensions": array_of(_STRING)}),
        "ModelMetadata": object_of(
            {
                "name": _STRING,
                "versions": array_of(_STRING),
                "platform": _STRING,
                "inputs": array_of(ref("TensorMetadata")),
                "outputs": array_of(ref("TensorMetadata")),
                "parameters": _ANYTHING,
            }
        ),
        "TensorMetadata": object_of({"name": _STRING, "datatype": _DATATYPE, "shape": array_of({"type": "integer"})}),
        "ModelReady": object_of({"name": _STRING, "version": _STRING, "ready": {"const": True}}),
        "StoredVersion": object_of(
            {"name": _STRING, "version": _STRING, "state": {"enum": ["READY", "UNAVAILABLE"]}, "reason": _STRING}
        ),
        "InferRequest": object_of(
            {"inputs": array_of(object_of(tensor, {"data": {"type": "array"}, **parameters}))},
            {
                "id": nullable(_STRING),
                "outputs": nullable(array_of(object_of({"name": _STRING}, parameters))),
                **parameters,
            },
        ),
        "InferAnswer": object_of(
            {
                "model_name": _STRING,
                "model_version": _STRING,
                "outputs": array_of(object_of(tensor, {"data": {"type": "array"}, "parameters": _ANYTHING})),
            },
            {"id": _STRING},
        ),
    }


def _of_model(version: str, suffix: str) -> tuple[Operation, ...]:
    path = f"{MODELS_PREFIX}{{model}}{version}"
    return (
        _get(path, f"model_metadata{suffix}", "What a model takes and gives.", ref("ModelMetadata"), 404),
        _get(f"{path}/ready", f"model_ready{suffix}", "A model takes requests.", ref("ModelReady"), 404),
        Operation(
            method="POST",
            path=f"{path}/infer",
            tag=_TAG,
            id=f"infer{suffix}",
            summary="A model's outputs for its inputs, as JSON or raw.",
            body={JSON: ref("InferRequest"), _BINARY: {}},
            answer={JSON: ref("InferAnswer"), _BINARY: {}},
            error=_ERROR,
            errors=(404, 413, 501),
            scopes=_INFER,
            parameters=({"name": _LENGTH_NAME, "in": "header", **_LENGTH},),
            answer_headers={_LENGTH_NAME: _LENGTH},
        ),
    )


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {JSON: schema}


def _get(path: str, name: str, summary: str, answer: dict[str, Any], *errors: int) -> Operation:
    return Operation("GET", path, _TAG, name, summary, {JSON: answer}, error=_ERROR, errors=errors)


def _post(
    path: str,
    name: str,
    summary: str,
    body: dict[str, Any],
    answer: dict[str, Any],
    errors: tuple[int, ...] = (413,),
    scopes: str = "any key",
) -> Operation:
    return Operation(
        "POST",
        path,
        _TAG,
        name,
        summary,
        {JSON: answer},
        error=_ERROR,
        body={JSON: body},
        body_required=False,
        errors=errors,
        scopes=scopes,
    )
