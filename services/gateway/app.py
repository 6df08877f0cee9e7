"""The gateway's ASGI app: every path that a client may reach, and what surrounds each request.

A path that is not in the table does not exist, however it is written: look-up is by the exact, decoded path.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING

from services.asgi import SHORTCUT
from services.errors import InternalError, ServingError
from services.gateway.control.path import Control
from services.gateway.control.work import NOBODY, Request, work_for
from services.gateway.document import DocumentRoutes
from services.gateway.exchange import ClientGone, Departures, Exchange
from services.gateway.oip import errors as oip_errors
from services.gateway.oip.rest import MODELS_PREFIX, REPOSITORY_PREFIX, OIPRoutes
from services.gateway.openai import errors as openai_errors
from services.gateway.openai.routes import MODELS_PATH, PASSED_THROUGH, OpenAIRoutes
from services.gateway.operations import OperationsRoutes
from services.gateway.request_ids import RequestIds
from services.gateway.routing import OPENAI_MODEL, Asked, Paths, Route, error_body_for, refuse
from services.telemetry.access_log import AccessLine

if TYPE_CHECKING:
    from collections.abc import Mapping

    from services.asgi import ASGIApp, Message, Receive, Scope, Send
    from services.gateway.control.passage import Passage
    from services.gateway.dataplane import DataPlane
    from services.gateway.native.routes import NativeRoutes
    from services.telemetry.recorder import Telemetry

logger = logging.getLogger("tandem.gateway")

_CLIENT_CLOSED_REQUEST = 499


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
        OPENAI_MODEL: Route("GET", openai.model, openai_errors.error_body),
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
        self._paths = Paths(table, model_table)
        self._telemetry = telemetry
        self._body_limit = body_limit
        self._fallback = fallback
        self._control = control
        self._ids = RequestIds()
        self._departures = Departures()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        asked = self._paths.asked(scope)
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
            handler = asked.handler or refuse(asked.route, scope)
            passage = asked.passage
            if passage is not None and passage.is_shared and passage.until > line.time and not self._control.refuses:
                line.key = passage.key_name
                exchange.told = passage.count(began)
                work_for(Request(line, passage))
            else:
                work_for(Request(line, NOBODY))
                if self._control.concerns(head):
                    await self._enter(asked, exchange, began)
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

    async def _enter(self, asked: Asked, exchange: Exchange, began: float) -> None:
        """Let the request in that asks for `asked` and came at `began`, or raise what its client hears."""
        line, known = exchange.line, asked.passage
        passage: Passage | None
        if known is not None and not known.is_shared and known.until > line.time and not self._control.refuses:
            passage = known.own()
        else:
            passage = self._control.admit(asked.template, asked.head, _host(exchange.scope))
            if passage is None:
                return
            if asked.head.timeout is None and passage.holder is not None:
                asked.passage = passage.holder.passage
        line.key = passage.key_name
        if passage.is_shared:
            exchange.told = passage.count(began)
        await passage.pay()
        exchange.passage = passage
        passage.begin()

    async def _fail(self, exchange: Exchange, error: ServingError, route: Route | None) -> None:
        line = exchange.line
        line.error = error.kind
        if isinstance(error, InternalError):
            logger.error("Request %s failed: %s", line.request_id, error.message, exc_info=error.__cause__ or error)
        if exchange.started:
            line.status = error.error_code
            raise error
        error_body = route.error_body if route else error_body_for(exchange.scope["path"])
        headers = tuple((name.encode(), value.encode("latin-1")) for name, value in error.headers().items())
        await exchange.json(error.error_code, error_body(error, line.request_id), headers)


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
