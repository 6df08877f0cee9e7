"""The engine's life: loaded in a thread while the service already answers, watched, and ended with the service."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from services.llm.front import EngineStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from services.asgi import ASGIApp
    from services.llm.pulse import Pulse

T = TypeVar("T")

_WATCH_SECONDS = 0.2
_FLUSH_SECONDS = 1.0
_STOP_SECONDS = 8.0
_ABANDON_SECONDS = 1.0

logger = logging.getLogger("tandem.llm")


class Engine(Protocol):
    """A language model's engine. All but `open` and `close_app` is called in one thread, the engine's own."""

    model: str
    models: tuple[str, ...]

    def load(self) -> None:
        """Load the model, however long it takes. Raises EngineConfigError or whatever went wrong."""
        ...

    async def open(self) -> ASGIApp:
        """The app that answers for the loaded engine; on the event loop."""
        ...

    async def close_app(self) -> None:
        """Undo `open`."""
        ...

    def alive(self) -> bool:
        """Whether the engine can still answer."""
        ...

    async def respond(self) -> None:
        """Return once the engine's process has answered; on the event loop."""
        ...

    def abandon(self) -> None:
        """Make a `load` under way in another thread fail soon."""
        ...

    def close(self) -> None:
        """Stop the engine's processes."""
        ...

    def explain(self, error: BaseException | None) -> str:
        """Why `load` raised `error`, or why the engine died (None), in one sentence."""
        ...


class EngineThread:
    """Runs an `Engine` in a thread of its own, which lives as long as the engine's processes (they die with it).

    When the engine dies, so does this process, by `end_process(1)`: BentoML starts another, and nothing is left of
    the old one.
    """

    def __init__(self, engine: Engine, pulse: Pulse, end_process: Callable[[int], None] = os._exit) -> None:
        """One whose `pulse` is lost counts as dead."""
        self._engine = engine
        self._pulse = pulse
        self._end_process = end_process
        self._app: ASGIApp | None = None
        self._failure: str | None = None
        self._began = time.monotonic()
        self._loading_seconds: float | None = None
        self._stop = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._run, name="llm-engine", daemon=True)

    @property
    def app(self) -> ASGIApp | None:
        return self._app

    @property
    def status(self) -> EngineStatus:
        engine = self._engine
        seconds = time.monotonic() - self._began if self._loading_seconds is None else self._loading_seconds
        if self._failure is not None:
            return EngineStatus("failed", self._failure, engine.model, engine.models, seconds)
        if self._app is None:
            reason = f"The language model {engine.model} is loading, for {seconds:.0f} s so far."
            return EngineStatus("starting", reason, engine.model, engine.models, seconds)
        if self._pulse.hung:
            reason = f"The language model {engine.model} has not answered for {self._pulse.silence:.0f} s."
            return EngineStatus("hung", reason, engine.model, engine.models, seconds)
        return EngineStatus("ready", None, engine.model, engine.models, seconds)

    def start(self) -> None:
        """Begin loading; returns at once. On the event loop that the app will run on."""
        self._loop = asyncio.get_running_loop()
        self._began = time.monotonic()
        self._thread.start()

    async def stop(self) -> None:
        """Stop the engine within seconds, or end the process where it is in the middle of what cannot be stopped."""
        if not self._thread.is_alive():
            return
        self._stop.set()
        loading = self._app is None
        if loading:
            self._engine.abandon()
        await asyncio.to_thread(self._thread.join, _ABANDON_SECONDS if loading else _STOP_SECONDS)
        if self._thread.is_alive():
            self._end_process(0)

    def _run(self) -> None:
        if not self._load():
            return
        assert self._loop is not None
        watching = asyncio.run_coroutine_threadsafe(self._pulse.watch(self._engine.respond), self._loop)
        while not self._stop.wait(_WATCH_SECONDS):
            if self._pulse.lost or not self._engine.alive():
                self._died()
                return
        watching.cancel()
        self._app = None
        self._on_loop(self._engine.close_app())
        self._engine.close()

    def _load(self) -> bool:
        engine = self._engine
        try:
            engine.load()
            app = self._on_loop(engine.open())
        except BaseException as error:  # vLLM ends some failed starts with SystemExit
            self._loading_seconds = time.monotonic() - self._began
            if not self._stop.is_set():
                self._failure = engine.explain(error)
                logger.error("The language model cannot be started: %s", self._failure)  # noqa: TRY400 - one line
                logger.debug("It raised", exc_info=error)
            engine.close()
            return False
        self._loading_seconds = time.monotonic() - self._began
        self._app = app
        logger.info("%s is ready after %.1f s", engine.model, self._loading_seconds)
        return True

    def _died(self) -> None:
        self._app = None
        if self._pulse.lost:
            logger.error(
                "The language model's engine has not answered for %.0f s. It starts anew.", self._pulse.silence
            )
        else:
            why = self._engine.explain(None).rstrip(".")
            logger.error("The language model's engine died: %s. It starts anew.", why)
        # The answers under way have just been told; let those bytes go out.
        time.sleep(_FLUSH_SECONDS)
        self._end_process(1)

    def _on_loop(self, coroutine: Coroutine[Any, Any, T]) -> T:
        assert self._loop is not None
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()
