"""Tandem's own API, as the OpenAPI document has it."""

from __future__ import annotations

from typing import Any

from pydantic.json_schema import models_json_schema

from services.gateway.native.models import ClassifyAnswer, ExplainAnswer
from services.gateway.openapi import JSON, TEXT, Operation, array_of, nullable, object_of, ref

_TAG = "Predictions and explanations"
_FAILS = (404, 413)
_ROW = {
    "type": "object",
    "additionalProperties": {"type": "number"},
    "description": "One number for each feature of the model. `GET /v2/models/{model}` lists them, with units and ranges.",
    "examples": [{"sepal_length": 5.1, "sepal_width": 3.5, "petal_length": 1.4, "petal_width": 0.2}],
}
_MODEL = {"type": "string", "description": "Name of a classifier.", "examples": ["iris"]}
_VERSION = {**nullable({"type": "string"}), "description": "The version that is meant, where it is not the usual one."}


def operations(max_rows: int) -> tuple[Operation, ...]:
    """Its operations. A request may have `max_rows` rows."""
    rows = _body({"rows": array_of(ref("Row"), maxItems=max_rows)})
    row = _body({"row": ref("Row")})
    return (
        _post(
            "classify",
            "Labels and probabilities for rows.",
            rows,
            {JSON: ref("ClassifyAnswer")},
            "a key with the scope `infer`",
        ),
        _post(
            "explain",
            "The prediction for one row, what each feature did, and the language model's words for exactly that.",
            row,
            {JSON: ref("ExplainAnswer")},
            "a key with the scopes `infer` and `chat`",
        ),
        _post(
            "explain_stream",
            "The text of an explanation, as it is written.",
            row,
            {TEXT: {"type": "string"}},
            "a key with the scopes `infer` and `chat`",
        ),
    )


def schemas() -> dict[str, Any]:
    """Its components."""
    _, defined = models_json_schema(
        [(ClassifyAnswer, "serialization"), (ExplainAnswer, "serialization")],
        ref_template="#/components/schemas/{model}",
    )
    return {
        **defined["$defs"],
        "Row": _ROW,
        "Error": object_of(
            {
                "error": {"type": "string", "description": "What went wrong, in a sentence."},
                "code": {"type": "string", "description": "The kind of error, for programs."},
                "param": {**nullable({"type": "string"}), "description": "The field that is wrong."},
                "request_id": {"type": "string"},
            },
            additionalProperties=False,
        ),
    }


def _body(fields: dict[str, Any]) -> dict[str, Any]:
    return object_of({"model": _MODEL, **fields}, {"version": _VERSION}, additionalProperties=False)


def _post(name: str, summary: str, body: dict[str, Any], answer: dict[str, Any], scopes: str) -> Operation:
    return Operation(
        method="POST",
        path=f"/{name}",
        tag=_TAG,
        id=name,
        summary=summary,
        body={JSON: body},
        answer=answer,
        errors=_FAILS,
        scopes=scopes,
        extra={"x-bentoml-name": name},  # BentoML's older clients build their methods from it
    )
