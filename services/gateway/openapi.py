"""What an OpenAPI 3.1 document is made of. Each protocol's `document.py` says its own part, `document.py` here puts them together."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

Schema = dict[str, Any]

JSON = "application/json"
TEXT = "text/plain"
_ALWAYS = (400, 401, 403, 429, 500, 503, 504)
"""What control may answer to any request that it looks at, with what may go wrong in any handler."""
_ERRORS = {
    400: "The request is malformed; the message names the field.",
    401: "No API key, or one that is not known.",
    403: "The key may not do this.",
    404: "There is no such model, or no such version of it.",
    413: "The body is too large.",
    429: "A limit is reached, or a queue is full.",
    500: "A fault of the server's; its log has the request id.",
    501: "Tandem does not offer this part of the protocol.",
    503: "What answers this is not there: it starts, or it broke off.",
    504: "The answer did not come in time.",
}
_RETRY = {"retry-after": {"$ref": "#/components/headers/retry-after"}}
_STATUS_HEADERS: dict[int, dict[str, Any]] = {
    401: {"www-authenticate": {"required": True, "schema": {"type": "string"}}},
    429: _RETRY,
    503: _RETRY,
}
_ID = {"x-request-id": {"$ref": "#/components/headers/x-request-id"}}


@dataclass(frozen=True)
class Operation:
    """One method of one path."""

    method: str
    path: str
    tag: str
    id: str
    summary: str
    answer: Mapping[str, Schema]
    """The body of a 200, by media type."""
    error: str = "Error"
    """The component that is the body of every error."""
    body: Mapping[str, Schema] = field(default_factory=dict)
    """What it takes, by media type."""
    body_required: bool = True
    errors: tuple[int, ...] = ()
    """Statuses beyond those that are always possible."""
    statuses: tuple[int, ...] = _ALWAYS
    """Those that are always possible; nothing goes wrong on a path that is open to all."""
    scopes: str | None = "any key"
    """What the caller's key needs, in words; None when the path is open to all."""
    parameters: tuple[Schema, ...] = ()
    answer_headers: Mapping[str, Schema] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Fields of the operation that are not OpenAPI's own."""


def array_of(items: Schema, **more: Any) -> Schema:
    """An array."""
    return {"type": "array", "items": items, **more}


def object_of(required: Mapping[str, Schema], optional: Mapping[str, Schema] | None = None, **more: Any) -> Schema:
    """An object with these fields; others may be there unless `more` says no."""
    return {"type": "object", "required": list(required), "properties": {**required, **(optional or {})}, **more}


def nullable(schema: Schema) -> Schema:
    """`schema`, or null."""
    return {"anyOf": [schema, {"type": "null"}]}


def ref(name: str) -> Schema:
    """The component `name`."""
    return {"$ref": f"#/components/schemas/{name}"}


def path_item(operation: Operation) -> dict[str, Any]:
    """`operation` as it stands under its path."""
    answers: dict[str, Any] = {
        "200": {
            "description": "Done.",
            "headers": {**_ID, **operation.answer_headers},
            "content": {media: {"schema": schema} for media, schema in operation.answer.items()},
        }
    }
    for status in sorted({*(operation.statuses if operation.scopes else ()), *operation.errors}):
        answers[str(status)] = {
            "description": _ERRORS[status],
            "headers": {**_ID, **_STATUS_HEADERS.get(status, {})},
            "content": {JSON: {"schema": ref(operation.error)}},
        }
    described: dict[str, Any] = {
        "operationId": operation.id,
        "tags": [operation.tag],
        "summary": operation.summary,
        "parameters": [*_path_parameters(operation.path), *operation.parameters],
        "responses": answers,
        **operation.extra,
    }
    if operation.scopes is None:
        described["security"] = []
    else:
        described["description"] = f"Needs {operation.scopes}, where keys are needed."
        described["parameters"] += [{"$ref": f"#/components/parameters/{name}"} for name in ("timeout", "id")]
    if operation.body:
        described["requestBody"] = {
            "required": operation.body_required,
            "content": {media: {"schema": schema} for media, schema in operation.body.items()},
        }
    return {operation.method.lower(): described}


def _path_parameters(path: str) -> list[Schema]:
    names = [part.strip("{}") for part in path.split("/") if part.startswith("{")]
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "pattern": "^[^/?#%]+$"}}
        for name in names
    ]


COMMON: dict[str, Any] = {
    "headers": {
        "x-request-id": {
            "description": "The caller's own, where it sent one of up to 128 printable characters; else one of ours.",
            "required": True,
            "schema": {"type": "string"},
        },
        "retry-after": {
            "description": "Seconds after which it is worth another try.",
            "required": True,
            "schema": {"type": "integer", "minimum": 0},
        },
    },
    "parameters": {
        "timeout": {
            "name": "x-request-timeout",
            "in": "header",
            "description": "Seconds that the caller waits for the answer.",
            "schema": {"type": "number", "exclusiveMinimum": 0},
        },
        "id": {
            "name": "x-request-id",
            "in": "header",
            "description": "Comes back with the answer and stands in the log, if it has up to 128 printable characters.",
            "schema": {"type": "string"},
        },
    },
    "securitySchemes": {
        "bearer": {"type": "http", "scheme": "bearer"},
        "key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
    },
}
"""Components that every operation may refer to."""
