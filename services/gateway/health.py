"""Knows how each dependency is, so that a dead one is answered for at once and never waited on."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from services.errors import NotRunning, ServingError, Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_MISSES_UNTIL_DOWN = 3
"""Looks in a row that a live but busy dependency may leave unanswered before new requests are refused."""


class Probed(Protocol):
    """Something whose health can be asked for."""

    name: str

    async def probe(self) -> bytes:
        """Its status as JSON bytes; raises Unavailable when there is none."""
        ...


class Health(msgspec.Struct, frozen=True):
    """How one dependency was when last looked at."""

    state: str
    """"ready", "starting", "failed", "hung", "down" or "stopping"."""
    reason: str | None = None
    detail: dict[str, Any] = {}
    """All that it said of itself."""

    @property
    def ready(self) -> bool:
        """Whether it takes requests."""
        return self.state == "ready"


_NOT_READY = {
    "starting": ("is still starting", 5),
    "failed": ("could not start; /readyz says why", 30),
    "hung": ("does not answer at present", 5),
    "down": ("is down and being restarted", 2),
}
"""What clients are told for each state, and the seconds after which asking again makes sense."""

STOPPING = Health("stopping", "The server is stopping.")
"""How every dependency is through a gateway that is about to end."""
_NOT_SEEN = Health("starting", "It has not answered yet.")


class HealthMonitor:
    """Looks at every dependency each `interval` seconds, and on demand."""

    def __init__(self, dependencies: Mapping[str, Probed], interval: float) -> None:
        self._dependencies = dependencies
        self._interval = interval
        self._seen: dict[str, Health] = dict.fromkeys(dependencies, _NOT_SEEN)
        self._misses = dict.fromkeys(dependencies, 0)
        self._once_up: set[str] = set()
        self._task: asyncio.Task[None] | None = None
        self._looking: asyncio.Future[dict[str, Health]] | None = None

    @property
    def names(self) -> Iterable[str]:
        """Of all that is looked at."""
        return self._dependencies

    def start(self) -> None:
        """Begin to look; needs a running loop."""
        self._task = asyncio.get_running_loop().create_task(self._watch())

    async def stop(self) -> None:
        """Look no more."""
        for task in (self._task, self._looking):
            if task is not None:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task

    def last(self, name: str) -> Health:
        """How `name` was when last seen."""
        return self._seen[name]

    def require(self, name: str) -> None:
        """Raises Unavailable unless `name` took requests when last seen. Clients hear how it is; `/readyz` says why."""
        health = self._seen[name]
        if not health.ready:
            words, retry_after = _NOT_READY.get(health.state, _NOT_READY["down"])
            raise Unavailable(f"The {self._dependencies[name].name} {words}.", retry_after=retry_after)

    async def look(self) -> dict[str, Health]:
        """How every dependency is now. Concurrent callers share one look."""
        if self._looking is None:
            self._looking = asyncio.ensure_future(self._look())
            self._looking.add_done_callback(self._looked)
        return await asyncio.shield(self._looking)

    def _looked(self, _: asyncio.Future[dict[str, Health]]) -> None:
        self._looking = None

    async def _look(self) -> dict[str, Health]:
        found = await asyncio.gather(*(self._probe(name) for name in self._dependencies))
        return dict(zip(self._dependencies, found, strict=True))

    async def _watch(self) -> None:
        while True:
            await self.look()
            await asyncio.sleep(self._interval)

    async def _probe(self, name: str) -> Health:
        try:
            detail = msgspec.json.decode(await self._dependencies[name].probe(), type=dict[str, Any])
            health = Health(str(detail.get("state", "ready")), detail.get("reason"), detail)
        except Exception as error:  # noqa: BLE001 - whatever it was, the watch goes on
            self._misses[name] += 1
            reason = error.message if isinstance(error, ServingError) else "What it said of itself cannot be read."
            health = Health("down" if name in self._once_up else "starting", reason)
            if not self._seen[name].ready or self._misses[name] >= _MISSES_UNTIL_DOWN or isinstance(error, NotRunning):
                self._seen[name] = health
            return health
        self._misses[name] = 0
        if health.ready:
            self._once_up.add(name)
        self._seen[name] = health
        return health
