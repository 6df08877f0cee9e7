"""What must be changed in BentoML itself: one place, pinned to the version it was written for.

BentoML puts its own middleware around every app. Two of them cost more than the work they stand before, and
its service options cannot leave them out:

* ``TimeoutMiddleware`` starts a timer a request that is never cancelled, runs the app in a second task, and waits
  only for the first ``send``: an error before that is swallowed and the client hangs until the timeout. Tandem has its
  own deadlines.
* ``OpenTelemetryMiddleware`` parses the URL of every request only to find that it is excluded. Tandem records
  its own telemetry.

And Starlette stands around all middleware with a layer of its own that catches errors, which each request pays for: a service's own
app goes before it, and answers for its errors itself.

BentoML starts uvicorn with the HTTP protocol that uvicorn itself picks, and offers no other: `HttpProtocol`, which bounds what a
client may send before Tandem sees any of it, is put where uvicorn looks.

And its supervisor stops badly: it removes the sockets of the dependencies and then asks all processes to end at once, so
that the gateway loses what it still needs. Ours ends the entry service first and keeps the sockets until all have
ended, and bounds the wait, which is a day otherwise.

In a container BentoML starts no worker anew: it ends when a service has none left. With several workers, one that dies would be missed for
ever and seen by nobody, so that a service ends there as soon as it has lost one.

And every server that starts empties the folder in which all servers of the same BentoML home count: ours have one each.

`docs/performance.md` says what leaving them out is worth. `tests/unit/services/test_bentoml_patches.py` fails when a
BentoML release moves what is patched here.
"""

from __future__ import annotations

import atexit
import shutil
import signal
import tempfile
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import bentoml.serving
from _bentoml_impl.server.app import ServiceAppFactory
from _bentoml_impl.server.serving import API_SERVER_NAME
from bentoml._internal.utils.circus import Arbiter
from circus.arbiter import Arbiter as CircusArbiter
from circus.sighandler import SysHandler
from circus.watcher import Watcher
from tornado import gen
from uvicorn.protocols.http import auto

from services.asgi import FrontMiddleware
from services.http_protocol import HttpProtocol
from services.settings.tree import load_settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.applications import Starlette
    from starlette.middleware import Middleware

BENTOML_VERSION = "1.4.39"
LEFT_OUT = frozenset({"TimeoutMiddleware", "OpenTelemetryMiddleware"})
ENTRY_WATCHER = "service"
"""What BentoML calls the processes of the entry service."""
HURRY = signal.SIGUSR1
"""Asks a process of the entry service to stop without telling load balancers first: what Ctrl-C becomes."""
_PATIENCE = 15.0
"""Seconds, after those that requests have, for a process to end by itself."""


def apply() -> None:
    """Leave `LEFT_OUT` out of every app that BentoML builds in this process, serve it through `HttpProtocol`, let every server
    count in a folder of its own, and end a service in a container with the first worker that it loses. Calling it again
    changes nothing.

    Raises RuntimeError under another release of BentoML than the pinned one.
    """
    installed = version("bentoml")
    if installed != BENTOML_VERSION:
        raise RuntimeError(
            f"Tandem is written for bentoml=={BENTOML_VERSION} and found {installed}. "
            "Install the pinned version, or review services/bentoml_patches.py for this one."
        )
    auto.AutoHTTPProtocol = HttpProtocol
    original = ServiceAppFactory.middlewares
    if getattr(original.fget, "tandem", False):
        return
    _miss_every_worker()
    bentoml.serving.ensure_prometheus_dir = _own_metrics_folder

    def middlewares(factory: ServiceAppFactory) -> list[Middleware]:
        return [entry for entry in original.__get__(factory) if getattr(entry.cls, "__name__", "") not in LEFT_OUT]

    middlewares.tandem = True  # type: ignore[attr-defined]
    ServiceAppFactory.middlewares = property(middlewares)
    _put_fronts_outside()
    Arbiter.stop = CircusArbiter.stop  # type: ignore[method-assign] # BentoML's removes the dependencies' sockets first
    Arbiter._stop_watchers = _stop_watchers  # noqa: SLF001 - there is no other way to say in which order
    SysHandler.handle_int = _handle_int


async def _stop_watchers(arbiter: Arbiter, close_output_streams: bool = False) -> None:
    """Ends the entry service, then its address, then what it depends on, then BentoML's own affairs."""
    drain = load_settings().drain
    for watcher in arbiter.watchers:
        watcher.graceful_timeout = drain.delay + drain.timeout + _PATIENCE
    await _end(arbiter, lambda name: name == ENTRY_WATCHER, close_output_streams)
    if API_SERVER_NAME in arbiter.sockets:
        arbiter.sockets[API_SERVER_NAME].close()  # else clients wait there for nobody
    await _end(arbiter, lambda name: name != ENTRY_WATCHER, close_output_streams)
    arbiter.exit_stack.close()


async def _end(arbiter: Arbiter, of: Callable[[str], bool], close_output_streams: bool) -> None:
    await gen.multi([one._stop(close_output_streams) for one in arbiter.watchers if of(one.name)])  # noqa: SLF001


def _handle_int(handler: SysHandler) -> None:
    """Ctrl-C: somebody waits, and there is no load balancer to be told."""
    for watcher in handler.controller.arbiter.watchers:
        if watcher.name == ENTRY_WATCHER:
            watcher.stop_signal = HURRY
            watcher.stop_children = False
    handler.quit()


def _put_fronts_outside() -> None:
    """Put a service's front, where no other middleware stands before it, around all of BentoML's app."""
    build = ServiceAppFactory.__call__

    def build_with_front(factory: ServiceAppFactory) -> Starlette | FrontMiddleware:
        app: Starlette = build(factory)
        outermost: Any = app.user_middleware[0].cls if app.user_middleware else None
        if outermost is not FrontMiddleware:
            return app
        del app.user_middleware[0]
        return FrontMiddleware(app, first=True)

    ServiceAppFactory.__call__ = build_with_front


def _own_metrics_folder() -> str:
    """Where the processes of the server that starts here share their metrics. BentoML's is the same for every server of a
    user, and each that starts empties it.
    """
    folder = tempfile.mkdtemp(prefix="tandem-metrics-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _miss_every_worker() -> None:
    """Have a service that starts no worker anew end with the first that it loses."""
    manage = Watcher.manage_processes

    def manage_processes(watcher: Watcher) -> Any:
        lost_one = watcher.is_active() and 0 < len(watcher.processes) < watcher.numprocesses
        return watcher._stop() if lost_one and not watcher.respawn else manage(watcher)  # noqa: SLF001 - as circus does

    Watcher.manage_processes = manage_processes
