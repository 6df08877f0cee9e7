"""The OpenAPI document: every path of the gateway's table, of all its protocols. BentoML's own has only its methods.

It names no model and no key, so anybody may read it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from services.gateway.native import document as native
from services.gateway.oip import document as oip
from services.gateway.openai import document as openai
from services.gateway.openapi import COMMON, JSON, TEXT, Operation, array_of, nullable, object_of, path_item
from services.runtime import VERSION

if TYPE_CHECKING:
    from services.gateway.exchange import Exchange

_TAG = "Operations"
_ADMIN = "a key with the scope `admin`"
_STRING: dict[str, Any] = {"type": "string"}
_ALIVE = object_of({"status": {"const": "alive"}})
_READY = object_of(
    {
        "ready": {"type": "boolean"},
        "dependencies": {
            "type": "object",
            "additionalProperties": object_of({"state": _STRING, "reason": nullable(_STRING)}),
        },
    }
)
_HEALTH = object_of(
    {
        "ready": {"type": "boolean"},
        "classifier": object_of({"state": _STRING, "models": {"type": "object", "additionalProperties": _STRING}}),
        "llm": object_of({"state": _STRING, "reason": nullable(_STRING), "models": array_of(_STRING)}),
        "active_requests": {"type": "integer", "minimum": 0},
        "gpu_memory": {},
    }
)


class DocumentRoutes:
    """`GET /openapi.json`, and `/docs.json`, where BentoML's page looks for it."""

    def __init__(self, max_rows: int) -> None:
        """`max_rows` bounds the rows of a request."""
        self._document = msgspec.json.encode(document(max_rows))

    async def openapi(self, exchange: Exchange) -> None:
        """The document."""
        await exchange.json(200, self._document)


def document(max_rows: int) -> dict[str, Any]:
    """The whole document, as JSON values."""
    paths: dict[str, Any] = {}
    for operation in (*native.operations(max_rows), *openai.operations(), *oip.operations(), *_operations()):
        paths.setdefault(operation.path, {}).update(path_item(operation))
    schemas = {"Readiness": _READY, **native.schemas(), **openai.schemas(), **oip.schemas()}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Tandem",
            "version": VERSION,
            "description": "Classical models and a language model behind one address. What cannot be read as HTTP/1.1, or takes "
            "too long to arrive, is answered in plain text with 400, 408 or 431, and the connection is closed.",
        },
        "security": [{"bearer": []}, {"key": []}, {}],
        "paths": paths,
        "components": {**COMMON, "schemas": schemas},
    }


def _operations() -> tuple[Operation, ...]:
    text = {TEXT: _STRING}
    return (
        _open("/livez", "livez", "The process answers.", _ALIVE),
        _open("/healthz", "healthz", "As `/livez`.", _ALIVE),
        Operation(
            "GET",
            "/readyz",
            _TAG,
            "readyz",
            "Every dependency takes requests.",
            {JSON: _READY},
            "Readiness",
            errors=(503,),
            scopes=None,
        ),
        Operation("GET", "/health", _TAG, "health", "Models, load and GPU memory.", {JSON: _HEALTH}, scopes=_ADMIN),
        Operation("GET", "/metrics", _TAG, "metrics", "Prometheus' text format.", text, scopes=_ADMIN),
        _open("/openapi.json", "openapi", "This document.", {"type": "object"}),
        _open("/docs.json", "docs", "This document, where BentoML's page looks for it.", {"type": "object"}),
        _open("/schema.json", "schema", "From which BentoML's clients build their methods.", {"type": "object"}),
    )


def _open(path: str, name: str, summary: str, answer: dict[str, Any]) -> Operation:
    return Operation("GET", path, _TAG, name, summary, {JSON: answer}, scopes=None)
