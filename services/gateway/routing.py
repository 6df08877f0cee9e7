"""Which handler answers a request: the tables of paths, looked up by the exact, decoded path.

What the head of a request asks for is read once where a connection repeats it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from services.asgi import shortcut_of
from services.errors import MethodNotAllowed, RouteNotFound
from services.gateway.head import Head, read_head
from services.gateway.native import errors as native_errors
from services.gateway.oip import errors as oip_errors
from services.gateway.oip.rest import MODELS_PREFIX, REPOSITORY_PREFIX, model_template, repository_template
from services.gateway.openai import errors as openai_errors
from services.gateway.openai.routes import MODELS_PATH

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from services.asgi import Scope
    from services.errors import ServingError
    from services.gateway.control.passage import Passage
    from services.gateway.exchange import Exchange

OPENAI_MODEL = f"{MODELS_PATH}/{{model}}"
_BENTOML_PATHS = frozenset({"/", "/schema.json"})
_BENTOML_PREFIX = "/static_content/"


@dataclass(frozen=True, slots=True)
class Route:
    """What answers one path."""

    method: str
    handler: Callable[[Exchange], Awaitable[None]]
    error_body: Callable[[ServingError, str], bytes] = native_errors.error_body


@dataclass(slots=True)
class Asked:
    """What the head of a request asks for."""

    route: Route | None
    template: str
    method: str
    handler: Callable[[Exchange], Awaitable[None]] | None
    """What answers; None where the path is not there, or takes another method."""
    head: Head
    passage: Passage | None = None
    """How the last request with this head and its key was let in, where its deadline is not its own."""


class Paths:
    """The paths that there are, and those that name a model, by template."""

    def __init__(self, table: Mapping[str, Route], model_table: Mapping[str, Route]) -> None:
        self._table = table
        self._model_table = model_table

    def asked(self, scope: Scope) -> Asked | None:
        """What the head of a request asks for, read once where it comes again; None when that is for BentoML's app to answer."""
        shortcut = shortcut_of(scope)
        known = shortcut.known if shortcut is not None else None
        if known is None:
            return self._read(scope)
        asked: Asked | None = known.memo
        if asked is None:
            asked = known.memo = self._read(scope)
        return asked

    def _read(self, scope: Scope) -> Asked | None:
        path = template = scope["path"]
        route = self._table.get(path)
        if route is None:
            if path in _BENTOML_PATHS or path.startswith(_BENTOML_PREFIX):
                return None
            route, template = self._find(path)
        method = scope["method"]
        found = route is not None and (method == route.method or (method, route.method) == ("HEAD", "GET"))
        return Asked(route, template, method, route.handler if route and found else None, read_head(scope["headers"]))

    def _find(self, path: str) -> tuple[Route | None, str]:
        """The route of a path that names a model."""
        template: str | None = None
        if path.startswith(MODELS_PREFIX):
            template = model_template(path)
        elif path.startswith(REPOSITORY_PREFIX):
            template = repository_template(path)
        elif path.startswith(MODELS_PATH + "/"):
            template = OPENAI_MODEL
        return (self._model_table[template], template) if template else (None, "unknown")


def refuse(route: Route | None, scope: Scope) -> NoReturn:
    """Raises RouteNotFound or MethodNotAllowed."""
    path = scope["path"]
    if route is None:
        raise RouteNotFound(f"There is nothing at {path!r}.")
    raise MethodNotAllowed(f"{path} takes {route.method}, not {scope['method']}.", allow=route.method)


def error_body_for(path: str) -> Callable[[ServingError, str], bytes]:
    """How the protocol says an error that a path which is not there seems to belong to."""
    if path.startswith("/v2"):
        return oip_errors.error_body
    return openai_errors.error_body if path.startswith("/v1") else native_errors.error_body
