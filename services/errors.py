"""Every error that Tandem raises on purpose, and the one place where its HTTP and gRPC status are said.

The tree (`error_code` is the HTTP status; only it survives BentoML's hop, so callers branch on it)::

    ServingError (BentoMLException)
    ├── InvalidInput        400 INVALID_ARGUMENT    the request is malformed; `param` names the field
    │   ├── PayloadTooLarge 413 RESOURCE_EXHAUSTED  the body is over the limit
    │   └── ModelLoadFailed 400 INVALID_ARGUMENT    a stored model that was to be loaded is broken
    ├── Unauthenticated     401 UNAUTHENTICATED     no key, or one that is not known or has expired
    ├── PermissionDenied    403 PERMISSION_DENIED   the key lacks the scope, or may not use the model
    ├── ModelNotFound       404 NOT_FOUND           no such model or version
    ├── RouteNotFound       404 NOT_FOUND           no such path
    ├── MethodNotAllowed    405 UNIMPLEMENTED       the path exists, the method does not; `allow` lists what does
    ├── Unsupported         501 UNIMPLEMENTED       part of a protocol that Tandem does not have
    ├── Overloaded          429 RESOURCE_EXHAUSTED  a queue is full; `retry_after` seconds
    │   └── LimitExceeded   429 RESOURCE_EXHAUSTED  the caller's own limit is used up; says how it stands
    ├── Unavailable         503 UNAVAILABLE         a dependency is down or starting; `retry_after` seconds
    │   └── NotRunning      503 UNAVAILABLE         its process is gone, not merely busy
    ├── DeadlineExceeded    504 DEADLINE_EXCEEDED   the time the caller gave ran out
    └── InternalError       500 INTERNAL            a bug of ours; the message never holds internals
"""

from __future__ import annotations

from http import HTTPStatus
from typing import ClassVar

from bentoml.exceptions import BentoMLException

_LONGEST = 1000
"""Characters of a message, or of a field's name."""


class ServingError(BentoMLException):
    """Base of the tree. `param` names the offending field, as a path into the request ("rows[2].petal_length")."""

    error_code: HTTPStatus = HTTPStatus.INTERNAL_SERVER_ERROR
    grpc_status: ClassVar[str] = "INTERNAL"
    """Name of the gRPC status code."""
    kind: ClassVar[str] = "internal_error"
    """Stable machine-readable name: OpenAI's `code`, and a metric label."""

    def __init__(self, message: str, *, param: str | None = None) -> None:
        self.message = _bounded(message)
        super().__init__(self.message)
        self.param = param if param is None else _bounded(param)

    def headers(self) -> dict[str, str]:
        """HTTP headers that go with the answer."""
        return {}


class _Retryable(ServingError):
    def __init__(self, message: str, *, param: str | None = None, retry_after: int = 1) -> None:
        super().__init__(message, param=param)
        self.retry_after = retry_after

    def headers(self) -> dict[str, str]:
        return {"retry-after": str(self.retry_after)}


class InvalidInput(ServingError):
    error_code: HTTPStatus = HTTPStatus.BAD_REQUEST
    grpc_status = "INVALID_ARGUMENT"
    kind = "invalid_input"


class PayloadTooLarge(InvalidInput):
    error_code: HTTPStatus = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    grpc_status = "RESOURCE_EXHAUSTED"
    kind = "payload_too_large"


class ModelLoadFailed(InvalidInput):
    kind = "model_load_failed"


class Unauthenticated(ServingError):
    error_code: HTTPStatus = HTTPStatus.UNAUTHORIZED
    grpc_status = "UNAUTHENTICATED"
    kind = "invalid_api_key"

    def headers(self) -> dict[str, str]:
        return {"www-authenticate": 'Bearer realm="tandem"'}


class PermissionDenied(ServingError):
    error_code: HTTPStatus = HTTPStatus.FORBIDDEN
    grpc_status = "PERMISSION_DENIED"
    kind = "permission_denied"


class ModelNotFound(ServingError):
    error_code: HTTPStatus = HTTPStatus.NOT_FOUND
    grpc_status = "NOT_FOUND"
    kind = "model_not_found"


class RouteNotFound(ServingError):
    error_code: HTTPStatus = HTTPStatus.NOT_FOUND
    grpc_status = "NOT_FOUND"
    kind = "not_found"


class MethodNotAllowed(ServingError):
    error_code: HTTPStatus = HTTPStatus.METHOD_NOT_ALLOWED
    grpc_status = "UNIMPLEMENTED"
    kind = "method_not_allowed"

    def __init__(self, message: str, *, allow: str) -> None:
        super().__init__(message)
        self.allow = allow

    def headers(self) -> dict[str, str]:
        return {"allow": self.allow}


class Unsupported(ServingError):
    error_code: HTTPStatus = HTTPStatus.NOT_IMPLEMENTED
    grpc_status = "UNIMPLEMENTED"
    kind = "unsupported"


class Overloaded(_Retryable):
    error_code: HTTPStatus = HTTPStatus.TOO_MANY_REQUESTS
    grpc_status = "RESOURCE_EXHAUSTED"
    kind = "overloaded"


class LimitExceeded(Overloaded):
    kind = "rate_limit_exceeded"

    def __init__(self, message: str, *, retry_after: int = 1, standing: dict[str, str] | None = None) -> None:
        """`standing` has the `x-ratelimit-*` headers."""
        super().__init__(message, retry_after=retry_after)
        self._standing = standing or {}

    def headers(self) -> dict[str, str]:
        return {**super().headers(), **self._standing}


class Unavailable(_Retryable):
    error_code: HTTPStatus = HTTPStatus.SERVICE_UNAVAILABLE
    grpc_status = "UNAVAILABLE"
    kind = "unavailable"


class NotRunning(Unavailable):
    kind = "not_running"


class DeadlineExceeded(ServingError):
    error_code: HTTPStatus = HTTPStatus.GATEWAY_TIMEOUT
    grpc_status = "DEADLINE_EXCEEDED"
    kind = "deadline_exceeded"


class InternalError(ServingError):
    kind = "internal_error"


_BY_STATUS: dict[int, type[ServingError]] = {
    error.error_code: error
    for error in (InvalidInput, PayloadTooLarge, ModelNotFound, Unsupported, Overloaded, Unavailable, DeadlineExceeded)
}


def _bounded(text: str) -> str:
    """What a client sent comes back in messages: at most so much of it."""
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def error_for(status: int) -> type[ServingError]:
    """The class that stands for a dependency's HTTP status."""
    return _BY_STATUS.get(status, InternalError)
