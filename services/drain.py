"""How a process takes its leave: it says so, refuses new work, finishes what it has, and only then ends.

`bentoml_patches` sees to the order among processes: the gateway first, then what it depends on.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import signal
from typing import TYPE_CHECKING, Protocol

import bentoml
import uvicorn

from services.bentoml_patches import HURRY

if TYPE_CHECKING:
    from collections.abc import Callable

    from services.settings.drain import DrainSettings

_LOOK_SECONDS = 0.02
_LAST_WORDS_SECONDS = 1.0
"""For those whose work was given up to hear so."""
_CLOSING_SECONDS = 2.0
"""For connections to close, before uvicorn cancels what still runs."""


class Drained(Protocol):
    """What is under way in this process, and how to stop it."""

    def active(self) -> int:
        """How many requests are under way."""
        ...

    def announce(self) -> None:
        """Say that no more should come, and take what comes."""
        ...

    def refuse(self) -> None:
        """Take nothing new."""
        ...

    def abandon(self) -> None:
        """Give up what is under way, and let those who wait for it know."""
        ...


class Drain:
    """Goes through the steps once; asked a second time, it waits no longer."""

    def __init__(self, drained: Drained, settings: DrainSettings, finish: Callable[[], None]) -> None:
        """`finish` ends the process in good order."""
        self._drained = drained
        self._settings = settings
        self._finish = finish
        self._impatient = False
        self._task: asyncio.Task[None] | None = None

    def begin(self, *, hurry: bool = False) -> None:
        """Stop; with `hurry`, refuse new work at once. Asked again, give up what is under way."""
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run(0.0 if hurry else self._settings.delay))
        else:
            self._impatient = True

    async def _run(self, delay: float) -> None:
        self._drained.announce()
        await self._until(delay, lambda: False)
        self._drained.refuse()
        if not await self._until(self._settings.timeout, self._idle):
            self._drained.abandon()
            self._impatient = False
            await self._until(_LAST_WORDS_SECONDS, self._idle)
        self._finish()

    def _idle(self) -> bool:
        return self._drained.active() == 0

    async def _until(self, seconds: float, done: Callable[[], bool]) -> bool:
        """Wait until `done`, for `seconds` at most or until somebody grows impatient; whether it was done."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                # Nobody says when the last request ends, for that would cost every request.
                while not (done() or self._impatient):  # noqa: ASYNC110
                    await asyncio.sleep(_LOOK_SECONDS)
        return done()


class Unannounced:
    """A process that nobody asks whether it is ready: uvicorn finishes its requests as it ends."""

    def active(self) -> int:
        return 0

    def announce(self) -> None:
        """Nobody would hear."""

    def refuse(self) -> None:
        """Left to uvicorn, which lets go of each connection with the answer that is under way on it."""

    def abandon(self) -> None:
        """Left to uvicorn."""


def own_server() -> uvicorn.Server | None:
    """The uvicorn that runs this process, known by its signal handler; None when something else does."""
    server = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
    return server if isinstance(server, uvicorn.Server) else None


def drain_on_signals(
    settings: DrainSettings, drained: Drained | None = None, *, closing: Callable[[], None] | None = None
) -> None:
    """From now on, what asks this process to stop drains it first. Call it on the event loop, once uvicorn handles
    signals; under anything but uvicorn it does nothing.

    Without `drained`, it is a dependency: its requests are a gateway's, and when a gateway of the same server stops, it
    is asked last. `closing` is called when connections are about to close.
    """
    server = own_server()
    if server is None:
        return
    seconds = settings.timeout if drained is None else _CLOSING_SECONDS

    def finish() -> None:
        if closing is not None:
            closing()
        server.config.timeout_graceful_shutdown = math.ceil(seconds)
        server.should_exit = True

    drain = Drain(drained or Unannounced(), settings, finish)
    alone = drained is not None or bentoml.server_context.service_type == "entry_service"
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, lambda: drain.begin(hurry=not alone))
    for wish in (signal.SIGINT, HURRY):
        loop.add_signal_handler(wish, lambda: drain.begin(hurry=True))
