"""What the gateway believes is served, by name and version, and how it learns that this has changed."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from models.spec import ModelSpec
from services.errors import ModelNotFound, ServingError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from services.classifier_routes import Listing

logger = logging.getLogger("tandem.gateway")


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

    The Classifier's status carries a generation that grows with every change. At a new one the listing is fetched, so
    every gateway process follows within one look at the Classifier's health.
    """

    def __init__(self, specs: Iterable[ModelSpec], fetch: Callable[[], Awaitable[Listing]]) -> None:
        """`specs` is what is believed until the Classifier has said what it serves, which `fetch` asks it for."""
        self.specs: Mapping[str, ModelSpec] = {spec.name: spec for spec in specs}
        """What each model's bare name stands for."""
        self._versions = {(spec.name, spec.version): spec for spec in self.specs.values()}
        self._fetch = fetch
        self._known: tuple[str, int] = ("", -1)
        self._fetching: asyncio.Task[None] | None = None
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

    def holds(self, name: str, version: str) -> bool:
        """Whether this version is served."""
        return (name, version) in self._versions

    def listen(self, listener: Callable[[], None]) -> None:
        """Call `listener` now and after every change."""
        self._listeners.append(listener)
        listener()

    def seen(self, status: Mapping[str, Any]) -> None:
        """Hear of the Classifier's status; needs a running loop."""
        run, generation = str(status.get("run", "")), status.get("generation")
        if isinstance(generation, int) and self._is_news(run, generation) and self._fetching is None:
            self._fetching = asyncio.get_running_loop().create_task(self._refresh())

    def apply(self, listing: Listing) -> list[StoredVersion]:
        """Believe what a listing says, unless something newer is known; returns what the repository holds."""
        specs = [(ModelSpec.model_validate_json(bytes(one.spec)), one.default) for one in listing.served]
        if self._is_news(listing.run, listing.generation):
            self._known = (listing.run, listing.generation)
            self._versions = {(spec.name, spec.version): spec for spec, _ in specs}
            self.specs = {spec.name: spec for spec, default in specs if default}
            for listener in self._listeners:
                listener()
        ready = [StoredVersion(spec.name, spec.version, ready=True, reason="") for spec, _ in specs]
        rest = [StoredVersion(one.name, one.version, ready=False, reason=one.reason) for one in listing.stored]
        return sorted(ready + rest, key=lambda one: (one.name, one.version))

    async def close(self) -> None:
        """Stop learning."""
        if self._fetching is not None:
            self._fetching.cancel()
            await asyncio.gather(self._fetching, return_exceptions=True)

    async def _refresh(self) -> None:
        try:
            self.apply(await self._fetch())
        except ServingError as error:
            logger.warning("What the Classifier serves could not be learned: %s", error.message)
        except Exception:
            logger.exception("What the Classifier serves could not be learned")
        finally:
            self._fetching = None

    def _is_news(self, run: str, generation: int) -> bool:
        known_run, known_generation = self._known
        return run != known_run or generation > known_generation


def not_served(name: str, version: str, default: str) -> ModelNotFound:
    """There is no such version; `default` is the one to ask for instead."""
    return ModelNotFound(f"{name} has no version {version!r}; {default!r} is served.", param="version")
