"""What the gateway believes is served, by name and version, and how it learns that this has changed."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from models.spec import ModelSpec
from services.classifier.routes import Generation
from services.errors import ModelNotFound, ServingError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from services.classifier.routes import Listing

logger = logging.getLogger("tandem.gateway")


_LOOK_SECONDS = 0.2
SETTLE_SECONDS = 2 * _LOOK_SECONDS
"""How long after a change the other gateway processes may not have heard of it yet."""


class Source(Protocol):
    """Who knows what is served."""

    async def generation(self) -> Generation:
        """What it has come to."""
        ...

    async def listing(self) -> Listing:
        """What it serves, and what else is stored."""
        ...


@dataclass(frozen=True, slots=True)
class StoredVersion:
    """One version of a model, as the repository knows it."""

    name: str
    version: str
    ready: bool
    """Whether it is served."""
    reason: str
    """Why it is not; empty when it is."""


class Catalogue:
    """The models that requests may name.

    The Classifier's generation grows with every change. Each gateway process asks for it several times a second, and
    for the listing when it is a new one.
    """

    def __init__(self, specs: Iterable[ModelSpec], source: Source) -> None:
        """`specs` is what is believed until the Classifier, `source`, has said what it serves."""
        self.specs: Mapping[str, ModelSpec] = {spec.name: spec for spec in specs}
        """What each model's bare name stands for."""
        self._versions = {(spec.name, spec.version): spec for spec in self.specs.values()}
        self._source = source
        self._known = Generation("", -1)
        self._task: asyncio.Task[None] | None = None
        self._listeners: list[Callable[[], None]] = []

    @property
    def others(self) -> tuple[ModelSpec, ...]:
        """Served versions that only a request which names them gets."""
        return tuple(spec for spec in self._versions.values() if self.specs.get(spec.name) is not spec)

    def find(self, name: str, version: str | None = None) -> ModelSpec:
        """The spec of a model, in `version` where one is given. Raises ModelNotFound."""
        spec = self.specs.get(name)
        if spec is None:
            served = ", ".join(sorted(self.specs)) or "none"
            raise ModelNotFound(f"There is no model {name!r}. Served: {served}.", param="model")
        if not version:
            return spec
        try:
            return self._versions[name, version]
        except KeyError:
            raise not_served(name, version, spec.version) from None

    def served(self) -> tuple[ModelSpec, ...]:
        """Every version that is served."""
        return tuple(self._versions.values())

    def holds(self, name: str, version: str) -> bool:
        """Whether this version is served."""
        return (name, version) in self._versions

    def listen(self, listener: Callable[[], None]) -> None:
        """Call `listener` now and after every change."""
        self._listeners.append(listener)
        listener()

    def start(self) -> None:
        """Begin to learn; needs a running loop."""
        self._task = asyncio.get_running_loop().create_task(self._follow())

    def apply(self, listing: Listing) -> list[StoredVersion]:
        """Believe what a listing says, unless something newer is known; returns what the repository holds."""
        specs = [(ModelSpec.model_validate_json(bytes(one.spec)), one.default) for one in listing.served]
        if self._is_news(listing):
            self._known = Generation(listing.run, listing.generation)
            self._believe({(spec.name, spec.version): spec for spec, _ in specs}, [spec for spec, own in specs if own])
        ready = [StoredVersion(spec.name, spec.version, ready=True, reason="") for spec, _ in specs]
        rest = [StoredVersion(one.name, one.version, ready=False, reason=one.reason) for one in listing.stored]
        return sorted(ready + rest, key=lambda one: (one.name, one.version))

    def _believe(self, versions: dict[tuple[str, str], ModelSpec], defaults: Iterable[ModelSpec]) -> None:
        specs = {spec.name: spec for spec in defaults}
        if versions == self._versions and specs == self.specs:
            return  # another run of the Classifier serves what the last did
        self._versions, self.specs = versions, specs
        for listener in self._listeners:
            listener()

    async def stop(self) -> None:
        """Learn no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _follow(self) -> None:
        while True:
            try:
                if self._is_news(await self._source.generation()):
                    self.apply(await self._source.listing())
            except ServingError:
                pass  # the monitor of its health says so
            except Exception:
                logger.exception("What the Classifier serves could not be learned")
            await asyncio.sleep(_LOOK_SECONDS)

    def _is_news(self, said: Generation | Listing) -> bool:
        return said.run != self._known.run or said.generation > self._known.generation


def not_served(name: str, version: str, default: str) -> ModelNotFound:
    """There is no such version; `default` is the one to ask for instead."""
    return ModelNotFound(f"{name} has no version {version!r}; {default!r} is served.", param="version")
