"""Errors in OpenAI's shape: `{"error": {"message", "type", "param", "code"}}`, as its API reference gives it."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from services.errors import ServingError

_TYPES = {
    HTTPStatus.BAD_REQUEST: "invalid_request_error",
    HTTPStatus.UNAUTHORIZED: "authentication_error",
    HTTPStatus.FORBIDDEN: "permission_error",
    HTTPStatus.NOT_FOUND: "not_found_error",
    HTTPStatus.METHOD_NOT_ALLOWED: "invalid_request_error",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "invalid_request_error",
    HTTPStatus.UNPROCESSABLE_ENTITY: "invalid_request_error",
    HTTPStatus.TOO_MANY_REQUESTS: "rate_limit_error",
    HTTPStatus.SERVICE_UNAVAILABLE: "service_unavailable_error",
}


def error_body(error: ServingError, request_id: str) -> bytes:  # noqa: ARG001 - the id is in a header, as OpenAI does
    """The body that goes with `error`."""
    return _encode(error.message, error.error_code, error.param, error.kind)


def normalised(status: int, body: bytes) -> tuple[int, bytes]:
    """An error of vLLM's in OpenAI's shape, whatever shape it came in. A 422 becomes the 400 that OpenAI sends."""
    try:
        decoded: Any = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        decoded = None
    if isinstance(decoded, dict):
        error = decoded.get("error")
        if isinstance(error, dict) and {"message", "type", "param", "code"} <= error.keys():
            code = error["code"]
            kind = error["type"] if not isinstance(code, str) else code
            return _client_status(status), _encode(str(error["message"]), status, error["param"], kind)
        detail = decoded.get("detail") or decoded.get("message") or error
        return _client_status(status), _encode(_words(detail), status, None, "invalid_input")
    message = (
        "The language model failed on this request." if status >= HTTPStatus.INTERNAL_SERVER_ERROR else "Bad request."
    )
    return _client_status(status), _encode(message, status, None, "internal_error")


def _client_status(status: int) -> int:
    return HTTPStatus.BAD_REQUEST if status == HTTPStatus.UNPROCESSABLE_ENTITY else status


def _words(detail: Any) -> str:
    if isinstance(detail, list):
        return "; ".join(_words(part) for part in detail)
    if isinstance(detail, dict):
        where = ".".join(str(part) for part in detail.get("loc", ()) if part != "body")
        return f"{where}: {detail.get('msg', detail)}" if where else str(detail.get("msg", detail))
    return str(detail) if detail else "The request was refused."


def _encode(message: str, status: int, param: Any, code: str) -> bytes:
    kind = _TYPES.get(HTTPStatus(_client_status(status)), "api_error")
    return msgspec.json.encode({"error": {"message": message, "type": kind, "param": param, "code": code}})
