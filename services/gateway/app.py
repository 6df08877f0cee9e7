"""The gateway's ASGI app: every path that a client may reach, and what surrounds each request.

A path that is not in the table does not exist, however it is written: look-up is by the exact, decoded path.
"""

from __future__ import annotations

import itertools
import logging
import secrets
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from services.errors import InternalError, MethodNotAllowed, RouteNotFound, ServingError
from services.gateway.exchange import ClientGone, Exchange
from services.gateway.native import errors as native_errors
from services.gateway.openai import errors as openai_errors
from services.gateway.openai.routes import MODELS_PATH, PASSED_THROUGH, OpenAIRoutes
from services.gateway.operations import OperationsRoutes
from services.telemetry import AccessLine

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from services.asgi import ASGIApp, Receive, Scope, Send
    from services.gateway.dataplane import DataPlane
    from services.gateway.native.routes import NativeRoutes
    from services.telemetry import Telemetry

logger = logging.getLogger("tandem.gateway")

_BENTOML_PATHS = frozenset({"/", "/docs.json", "/schema.json"})
_BENTOML_PREFIX = "/static_content/"
_CLIENT_CLOSED_REQUEST = 499
_LONGEST_REQUEST_ID = 128


@dataclass(frozen=True, slots=True)
class Route:
    """What answers one path."""

    method: str
    handler: Callable[[Exchange], Awaitable[None]]
    error_body: Callable[[ServingError, str], bytes] = native_errors.error_body


def routes(native: NativeRoutes, openai: OpenAIRoutes, operations: OperationsRoutes) -> dict[str, Route]:
    """The table of paths."""
    return {
        "/classify": Route("POST", native.classify),
        "/explain": Route("POST", native.explain),
        "/explain_stream": Route("POST", native.explain_stream),
        "/livez": Route("GET", operations.live),
        "/healthz": Route("GET", operations.live),
        "/readyz": Route("GET", operations.ready),
        "/health": Route("GET", operations.health),
        "/metrics": Route("GET", operations.metrics),
        **{
            path: Route(method, openai.passed_through, openai_errors.error_body)
            for path, method in PASSED_THROUGH.items()
        },
    }


class GatewayApp:
    """Finds the handler of a request, gives it an `Exchange`, and answers for what it raises."""

    def __init__(
        self, table: dict[str, Route], openai: OpenAIRoutes, telemetry: Telemetry, body_limit: int, fallback: ASGIApp
    ) -> None:
        """`fallback` is BentoML's app, which serves its own pages and schema."""
        self._table = table
        self._model_route = Route("GET", openai.model, openai_errors.error_body)
        self._telemetry = telemetry
        self._body_limit = body_limit
        self._fallback = fallback
        self._id_prefix = secrets.token_hex(6)
        self._ids = itertools.count()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path: str = scope["path"]
        if path in _BENTOML_PATHS or path.startswith(_BENTOML_PREFIX):
            await self._fallback(scope, receive, send)
            return
        began = self._telemetry.begin()
        route, template = self._find(path)
        line = AccessLine(time.time(), self._request_id(scope), scope["method"], template, 500, 0.0)
        exchange = Exchange(scope, receive, send, line, self._body_limit)
        try:
            if route is None:
                raise RouteNotFound(f"There is nothing at {path!r}.")  # noqa: TRY301
            if scope["method"] != route.method and (scope["method"], route.method) != ("HEAD", "GET"):
                raise MethodNotAllowed(f"{path} takes {route.method}, not {scope['method']}.", allow=route.method)  # noqa: TRY301
            await route.handler(exchange)
        except ServingError as error:
            await self._fail(exchange, error, route)
        except ClientGone:
            line.status = _CLIENT_CLOSED_REQUEST
        except Exception:
            logger.exception("Request %s failed", line.request_id)
            if exchange.started:
                raise
            await self._fail(exchange, InternalError("Something went wrong on our side."), route)
        finally:
            self._telemetry.end(began, line)

    def _find(self, path: str) -> tuple[Route | None, str]:
        route = self._table.get(path)
        if route is not None:
            return route, path
        if path.startswith(MODELS_PATH + "/"):
            return self._model_route, MODELS_PATH + "/{model}"
        return None, "unknown"

    async def _fail(self, exchange: Exchange, error: ServingError, route: Route | None) -> None:
        line = exchange.line
        line.error = error.kind
        if isinstance(error, InternalError):
            logger.error("Request %s failed: %s", line.request_id, error.message, exc_info=error.__cause__ or error)
        if exchange.started:
            line.status = error.error_code
            raise error
        error_body = route.error_body if route else _error_body_for(exchange.scope["path"])
        headers = tuple((name.encode(), value.encode("latin-1")) for name, value in error.headers().items())
        await exchange.json(error.error_code, error_body(error, line.request_id), headers)

    def _request_id(self, scope: Scope) -> str:
        for name, value in scope["headers"]:
            if name == b"x-request-id" and 0 < len(value) <= _LONGEST_REQUEST_ID:
                given: str = value.decode("latin-1")
                if given.isascii() and given.isprintable():
                    return given
        return f"{self._id_prefix}{next(self._ids):08x}"


def _error_body_for(path: str) -> Callable[[ServingError, str], bytes]:
    return openai_errors.error_body if path.startswith("/v1") else native_errors.error_body


def create_app(
    dataplane: DataPlane, native: NativeRoutes, telemetry: Telemetry, body_limit: int, fallback: ASGIApp
) -> GatewayApp:
    """The gateway over its collaborators; tests give it fakes."""
    openai = OpenAIRoutes(dataplane)
    table = routes(native, openai, OperationsRoutes(dataplane, telemetry))
    return GatewayApp(table, openai, telemetry, body_limit, fallback)
