"""The engines that one Classifier worker holds, by name and version."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from models import store
from models.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from models.spec import AnyEngine
    from services.classifier.engine_runner import EngineRunner

    Key = tuple[str, str]

logger = logging.getLogger("tandem.classifier")


class EngineShelf:
    """Loads versions, remembers which could not be loaded, and holds each for a while after nobody wants it any more."""

    def __init__(self, make_runner: Callable[[AnyEngine], EngineRunner], *, threads: int, keep_seconds: float) -> None:
        """`make_runner` puts an engine to work, with `threads` threads; `keep_seconds` is how long the while is."""
        self._make_runner = make_runner
        self._threads = threads
        self._keep_seconds = keep_seconds
        self._runners: dict[Key, EngineRunner] = {}
        self._failures: dict[Key, str] = {}
        self._leaving: dict[Key, float] = {}

    def get(self, key: Key) -> EngineRunner | None:
        """What runs a version; None when it is not held."""
        return self._runners.get(key)

    def failure(self, key: Key) -> str | None:
        """Why the last try to load a version failed; None when it did not."""
        return self._failures.get(key)

    def failures(self) -> dict[str, str]:
        """The reasons of all that could not be loaded, by ``name:version``."""
        return {":".join(key): reason for key, reason in self._failures.items()}

    def want(self, keys: Collection[Key]) -> None:
        """Hold what is of `keys`; the rest, which still finishes what was sent to it, is let go after its time."""
        until = time.monotonic() + self._keep_seconds
        for key in self._runners:
            if key in keys:
                self._leaving.pop(key, None)
            else:
                self._leaving.setdefault(key, until)

    def load(self, keys: Collection[Key]) -> list[EngineRunner]:
        """Load what is missing of `keys`, and return that. Takes its time: call it in a thread, one call at once."""
        loaded = []
        for key in [key for key in keys if key not in self._runners]:
            try:
                runner = self._make_runner(store.load(*key, threads=self._threads))
            except Exception as error:
                self._failures[key] = str(error)
                logger.error("%s", error)  # noqa: TRY400 - one line
                if not isinstance(error, ModelError):
                    logger.debug("It raised", exc_info=error)
            else:
                self._failures.pop(key, None)
                self._runners[key] = runner
                loaded.append(runner)
        return loaded

    def let_go(self) -> None:
        """Drop what nobody has wanted for long enough."""
        now = time.monotonic()
        for key in [key for key, until in self._leaving.items() if until <= now]:
            del self._leaving[key]
            self._runners.pop(key, None)
