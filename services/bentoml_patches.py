"""What must be changed in BentoML itself: one place, pinned to the version it was written for.

BentoML puts its own middleware around every app. Two of them cost more than the work they stand before, and
its service options cannot leave them out:

* ``TimeoutMiddleware`` starts a timer a request that is never cancelled, runs the app in a second task, and waits
  only for the first ``send``: an error before that is swallowed and the client hangs until the timeout. Tandem has its
  own deadlines.
* ``OpenTelemetryMiddleware`` parses the URL of every request only to find that it is excluded. Tandem records
  its own telemetry.

BentoML starts uvicorn with the HTTP protocol that uvicorn itself picks, and offers no other: `HttpProtocol`, which bounds what a
client may send before Tandem sees any of it, is put where uvicorn looks.

`docs/performance.md` says what leaving them out is worth. `tests/unit/services/test_bentoml_patches.py` fails when a
BentoML release moves what is patched here.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING

from _bentoml_impl.server.app import ServiceAppFactory
from uvicorn.protocols.http import auto

from services.asgi import FrontMiddleware
from services.http_protocol import HttpProtocol

if TYPE_CHECKING:
    from starlette.middleware import Middleware

BENTOML_VERSION = "1.4.39"
LEFT_OUT = frozenset({"TimeoutMiddleware", "OpenTelemetryMiddleware"})


def apply() -> None:
    """Leave `LEFT_OUT` out of every app that BentoML builds in this process, and serve it through `HttpProtocol`. Calling it
    again changes nothing.

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

    def middlewares(factory: ServiceAppFactory) -> list[Middleware]:
        kept = [entry for entry in original.__get__(factory) if getattr(entry.cls, "__name__", "") not in LEFT_OUT]
        if kept[0].cls is FrontMiddleware:
            kept[0].kwargs["first"] = True
        return kept

    middlewares.tandem = True  # type: ignore[attr-defined]
    ServiceAppFactory.middlewares = property(middlewares)
