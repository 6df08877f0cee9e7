"""Whether the engine's process still answers: one that lives and does nothing takes every request and ends none."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

_INTERVAL_SECONDS = 1.0
_LOOKS = 5
"""Looks at a question before it counts as unanswered. Looks are counted, not time: a process that was itself stopped for
a while has seen nothing."""

logger = logging.getLogger("tandem.llm")


class Pulse:
    """Asks the engine something that costs it nothing, again and again."""

    def __init__(self, hung_after: float, restart_after: float) -> None:
        """Both in seconds without an answer."""
        self._step = hung_after / _LOOKS
        self._restart_after = restart_after
        self._unanswered = 0

    @property
    def hung(self) -> bool:
        """Whether the engine has not answered for so long that no request should be sent to it."""
        return self._unanswered >= _LOOKS

    @property
    def lost(self) -> bool:
        """Whether it has not answered for so long that it never will."""
        return self.hung and self.silence >= self._restart_after

    @property
    def silence(self) -> float:
        """Seconds that it has not answered for."""
        return self._unanswered * self._step

    async def watch(self, ask: Callable[[], Awaitable[object]]) -> None:
        """Go on until cancelled, or until `ask` raises: then the engine is dead, which others see."""
        while True:
            asking = asyncio.ensure_future(ask())
            try:
                while not (await asyncio.wait({asking}, timeout=self._step))[0]:
                    self._unanswered += 1
                    if self._unanswered == _LOOKS:
                        logger.error("The language model's engine does not answer: requests are refused until it does.")
                if asking.exception() is not None:
                    return
            finally:
                asking.cancel()
            if self.hung:
                logger.warning("The language model's engine answers again, after %.0f s.", self.silence)
            self._unanswered = 0
            await asyncio.sleep(_INTERVAL_SECONDS)
