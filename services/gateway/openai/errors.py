"""Errors in OpenAI's shape: `{"error": {"message", "type", "param", "code"}}`, as its API reference gives it."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from services.errors import ServingError

_VALIDATION = re.compile(r"'loc': 'body\.([^']*)', 'msg': '([^']*)'")
"""How vLLM prints the errors of its pydantic models inside a message."""

_TYPES: dict[int, str] = {
    HTTPStatus.BAD_REQUEST: "invalid_request_error",
    HTTPStatus.UNAUTHORIZED: "authentication_error",
    HTTPStatus.FORBIDDEN: "permission_error",
    HTTPStatus.NOT_FOUND: "not_found_error",
    HTTPStatus.METHOD_NOT_ALLOWED: "invalid_request_error",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "invalid_request_error",
    HTTPStatus.TOO_MANY_REQUESTS: "rate_limit_error",
    HTTPStatus.SERVICE_UNAVAILABLE: "service_unavailable_error",
}


def error_body(error: ServingError, request_id: str) -> bytes:  # noqa: ARG001 - the id is in a header, as OpenAI does
    """The body that goes with `error`."""
    return _encode(error.message, error.error_code, error.param, error.kind)


def normalised(status: int, body: bytes, path: str) -> tuple[int, bytes]:
    """An error of vLLM's in OpenAI's shape, whatever shape it came in. A 422 becomes the 400 that OpenAI sends.

    The message of a failure inside vLLM is not passed on: it is in the LLM's own log.
    """
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return status, _encode("The language model failed on this request.", status, None, "internal_error")
    message, param = _vllm_words(body)
    if message == "Not Found":
        message = f"The model that is served does not offer {path}."
    status = HTTPStatus.BAD_REQUEST if status == HTTPStatus.UNPROCESSABLE_ENTITY else status
    code = "model_not_found" if status == HTTPStatus.NOT_FOUND else "invalid_input"
    return status, _encode(message, status, param, code)


def _vllm_words(body: bytes) -> tuple[str, str | None]:
    """Message and parameter of one of vLLM's error bodies: OpenAI's shape, FastAPI's `detail`, or neither."""
    try:
        decoded: Any = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return "The request was refused.", None
    error = decoded.get("error", decoded) if isinstance(decoded, dict) else decoded
    if not isinstance(error, dict):
        return _words(error), None
    message = str(error.get("message") or _words(error.get("detail")))
    found = _VALIDATION.findall(message)
    if found:
        return "; ".join(f"{where}: {problem}" for where, problem in found) + ".", found[0][0]
    return message, error.get("param")


def _words(detail: Any) -> str:
    if isinstance(detail, list) and detail:
        return "; ".join(_words(part) for part in detail)
    if isinstance(detail, dict):
        place = detail.get("loc")
        where = ".".join(str(part) for part in place if part != "body") if isinstance(place, list) else ""
        return f"{where}: {detail.get('msg', detail)}" if where else str(detail.get("msg", detail))
    return str(detail) if detail else "The request was refused."


def _encode(message: str, status: int, param: Any, code: str) -> bytes:
    kind = _TYPES.get(status, "api_error")
    return msgspec.json.encode({"error": {"message": message, "type": kind, "param": param, "code": code}})
