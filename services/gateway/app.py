"""The gateway's ASGI app: every path that a client may reach, and what surrounds each request.

A path that is not in the table does not exist, however it is written: look-up is by the exact, decoded path.
"""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from services.asgi import SHORTCUT, shortcut_of
from services.errors import InternalError, MethodNotAllowed, RouteNotFound, ServingError
from services.gateway.control.path import Control
from services.gateway.document import DocumentRoutes
from services.gateway.exchange import ClientGone, Departures, Exchange
from services.gateway.head import Head, read_head
from services.gateway.native import errors as native_errors
from services.gateway.oip import errors as oip_errors
from services.gateway.oip.rest import (
    MODELS_PREFIX,
    REPOSITORY_PREFIX,
    OIPRoutes,
    model_template,
    repository_template,
)
from services.gateway.openai import errors as openai_errors
from services.gateway.openai.routes import MODELS_PATH, PASSED_THROUGH, OpenAIRoutes
from services.gateway.operations import OperationsRoutes
from services.gateway.request_ids import RequestIds
from services.telemetry.access_log import AccessLine

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from services.asgi import ASGIApp, Message, Receive, Scope, Send
    from services.gateway.control.passage import Passage
    from services.gateway.dataplane import DataPlane
    from services.gateway.native.routes import NativeRoutes
    from services.telemetry.recorder import Telemetry

logger = logging.getLogger("tandem.gateway")

_BENTOML_PATHS = frozenset({"/", "/schema.json"})
_BENTOML_PREFIX = "/static_content/"
_CLIENT_CLOSED_REQUEST = 499
_OPENAI_MODEL = f"{MODELS_PATH}/{{model}}"


@dataclass(frozen=True, slots=True)
class Route:
    """What answers one path."""

    method: str
    handler: Callable[[Exchange], Awaitable[None]]
    error_body: Callable[[ServingError, str], bytes] = native_errors.error_body


@dataclass(slots=True)
class _Asked:
    """What the head of a request asks for."""

    route: Route | None
    template: str
    method: str
    handler: Callable[[Exchange], Awaitable[None]] | None
    """What answers; None where the path is not there, or takes another method."""
    head: Head
    passage: Passage | None = None
    """What the last request with this head and its key was let in with, where others may share it."""


def routes(
    native: NativeRoutes,
    openai: OpenAIRoutes,
    oip: OIPRoutes,
    operations: OperationsRoutes,
    documents: DocumentRoutes,
) -> dict[str, Route]:
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
        "/openapi.json": Route("GET", documents.openapi),
        "/docs.json": Route("GET", documents.openapi),
        **{path: Route("POST", openai.passed_through, openai_errors.error_body) for path in PASSED_THROUGH},
        MODELS_PATH: Route("GET", openai.models, openai_errors.error_body),
        "/v2": Route("GET", oip.server, oip_errors.error_body),
        "/v2/health/live": Route("GET", oip.live, oip_errors.error_body),
        "/v2/health/ready": Route("GET", oip.ready, oip_errors.error_body),
        "/v2/repository/index": Route("POST", oip.index, oip_errors.error_body),
    }


def model_routes(openai: OpenAIRoutes, oip: OIPRoutes) -> dict[str, Route]:
    """The table of paths that name a model, by template."""
    return {
        _OPENAI_MODEL: Route("GET", openai.model, openai_errors.error_body),
        **{
            f"{MODELS_PREFIX}{{model}}{version}{action}": Route(method, handler, oip_errors.error_body)
            for version in ("", "/versions/{version}")
            for method, action, handler in (
                ("GET", "", oip.model),
                ("GET", "/ready", oip.model_ready),
                ("POST", "/infer", oip.infer),
            )
        },
        f"{REPOSITORY_PREFIX}{{model}}/load": Route("POST", oip.load, oip_errors.error_body),
        f"{REPOSITORY_PREFIX}{{model}}/unload": Route("POST", oip.unload, oip_errors.error_body),
    }


class GatewayApp:
    """Finds the handler of a request, gives it an `Exchange`, and answers for what it raises."""

    def __init__(
        self,
        table: Mapping[str, Route],
        model_table: Mapping[str, Route],
        telemetry: Telemetry,
        body_limit: int,
        fallback: ASGIApp,
        control: Control,
    ) -> None:
        """`fallback` is BentoML's app, which serves its own pages and schema."""
        self._table = table
        self._model_table = model_table
        self._telemetry = telemetry
        self._body_limit = body_limit
        self._fallback = fallback
        self._control = control
        self._ids = RequestIds()
        self._departures = Departures()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        asked = self._asked(scope)
        if asked is None:
            await self._fallback(scope, receive, send)
            return
        head = asked.head
        line = AccessLine(time.time(), head.request_id or self._ids.new(), asked.method, asked.template, 500, 0.0)
        began = self._telemetry.begin(line, head.caller)
        if self._control.closing:
            send = _closing(scope, send)
        exchange = Exchange(scope, receive, send, line, self._body_limit, self._departures)
        try:
            handler = asked.handler or _refuse(asked.route, scope)
            if self._control.concerns(head) and not self._enters_again(asked, exchange):
                await self._enter(asked, exchange)
            await handler(exchange)
        except ServingError as error:
            await self._fail(exchange, error, asked.route)
        except (ClientGone, asyncio.CancelledError) as end:
            _gone(line)
            if not (isinstance(end, ClientGone) or exchange.departed or self._control.closing):
                raise
        except Exception:
            logger.exception("Request %s failed", line.request_id)
            if exchange.started:
                raise
            await self._fail(exchange, InternalError("Something went wrong on our side."), asked.route)
        finally:
            exchange.close()
            self._telemetry.end(began, line)

    def _asked(self, scope: Scope) -> _Asked | None:
        """What the head of a request asks for, read once where it comes again; None when that is for BentoML's app to answer."""
        shortcut = shortcut_of(scope)
        known = shortcut.known if shortcut is not None else None
        if known is None:
            return self._read(scope)
        asked: _Asked | None = known.memo
        if asked is None:
            asked = known.memo = self._read(scope)
        return asked

    def _read(self, scope: Scope) -> _Asked | None:
        path = template = scope["path"]
        route = self._table.get(path)
        if route is None:
            if path in _BENTOML_PATHS or path.startswith(_BENTOML_PREFIX):
                return None
            route, template = self._find(path)
        method = scope["method"]
        found = route is not None and (method == route.method or (method, route.method) == ("HEAD", "GET"))
        return _Asked(route, template, method, route.handler if route and found else None, read_head(scope["headers"]))

    def _enters_again(self, asked: _Asked, exchange: Exchange) -> bool:
        """Let the request in as the last one with its head, where that still holds; raises what its client hears if that was once too often."""
        passage = asked.passage
        if passage is None or passage.ended or passage.until <= exchange.line.time or self._control.refuses:
            return False
        exchange.line.key = passage.key_name
        exchange.told = passage.count()
        passage.begin()
        return True

    async def _enter(self, asked: _Asked, exchange: Exchange) -> None:
        """Let the request in that asks for `asked`, or raise what its client hears."""
        passage = self._control.admit(asked.template, asked.head, _host(exchange.scope))
        if passage is None:
            return
        exchange.line.key = passage.key_name
        if passage.owed:
            await passage.charge(passage.owed)
        else:
            exchange.told = passage.count()
        exchange.passage = passage
        passage.begin()
        if passage.is_shared and passage.holder is not None:
            asked.passage = passage

    def _find(self, path: str) -> tuple[Route | None, str]:
        """The route of a path that names a model."""
        template: str | None = None
        if path.startswith(MODELS_PREFIX):
            template = model_template(path)
        elif path.startswith(REPOSITORY_PREFIX):
            template = repository_template(path)
        elif path.startswith(MODELS_PATH + "/"):
            template = _OPENAI_MODEL
        return (self._model_table[template], template) if template else (None, "unknown")

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


def _refuse(route: Route | None, scope: Scope) -> NoReturn:
    """Raises RouteNotFound or MethodNotAllowed."""
    path = scope["path"]
    if route is None:
        raise RouteNotFound(f"There is nothing at {path!r}.")
    raise MethodNotAllowed(f"{path} takes {route.method}, not {scope['method']}.", allow=route.method)


def _gone(line: AccessLine) -> None:
    line.status = _CLIENT_CLOSED_REQUEST
    line.client_gone = True


def _closing(scope: Scope, send: Send) -> Send:
    """As `send`, but asks the client to use the connection no more: its next request goes to another server then."""
    scope.get("extensions", {}).pop(SHORTCUT, None)  # the short way round `send`

    async def closing(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], (b"connection", b"close")]
        await send(message)

    return closing


def _host(scope: Scope) -> str | None:
    client = scope.get("client")
    return client[0] if client else None


def _error_body_for(path: str) -> Callable[[ServingError, str], bytes]:
    if path.startswith("/v2"):
        return oip_errors.error_body
    return openai_errors.error_body if path.startswith("/v1") else native_errors.error_body


def create_app(
    dataplane: DataPlane,
    native: NativeRoutes,
    telemetry: Telemetry,
    body_limit: int,
    fallback: ASGIApp,
    control: Control | None = None,
) -> GatewayApp:
    """The gateway over its collaborators; tests give it fakes. Without `control` everybody may do everything."""
    openai = OpenAIRoutes(dataplane)
    oip = OIPRoutes(dataplane)
    table = routes(native, openai, oip, OperationsRoutes(dataplane, telemetry), DocumentRoutes(native.max_rows))
    return GatewayApp(
        table, model_routes(openai, oip), telemetry, body_limit, fallback, control or Control(None, None, 1.0)
    )
