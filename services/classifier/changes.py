"""How one Classifier worker changes what all of them serve: first every worker loads, then the name moves."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING

from models import store
from models.errors import ModelError, ModelMissing
from services.classifier.serving_state import Wanted, WantedModel
from services.errors import ModelLoadFailed, ModelNotFound, Unavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping

    from models.spec import ModelSpec
    from services.classifier.engine_shelf import EngineShelf
    from services.classifier.registry import Registry
    from services.classifier.serving_state import ServingState

    Key = tuple[str, str]

_POLL_SECONDS = 0.1


class ModelChanges:
    """Loads and unloads for all workers, one change at a time."""

    def __init__(
        self, registry: Registry, state: ServingState, shelf: EngineShelf, *, pinned: Mapping[str, str], patience: float
    ) -> None:
        """See `Registry`, whose parts these are."""
        self._registry = registry
        self._state = state
        self._shelf = shelf
        self._pinned = pinned
        self._patience = patience

    async def load(self, name: str, version: str = "") -> None:
        """Serve one more version everywhere, once every worker has it.

        Without a version the pinned or newest one, and it replaces the one that the name stood for. With a version, that
        one is served beside the others. Returns when every worker serves it.

        Raises:
            ModelNotFound: the store has no such model or version.
            ModelLoadFailed: it cannot be loaded; everything stays as it was.
            Unavailable: another change is under way for too long.

        """
        async with self._changing():
            wanted = self._registry.wanted
            spec = await self._find(name, version or self._pinned.get(name))
            model = wanted.models.get(name)
            if model is None or spec.version not in model.versions or self._shelf.get((name, spec.version)) is None:
                await self._stage(wanted.staging(name, spec.version))
            replaced = model.default if model and not version else None
            kept = [one for one in (model.versions if model else ()) if one != replaced]
            await self._commit(name, [*kept, spec.version])

    async def unload(self, name: str, version: str = "") -> None:
        """Serve a model no more, or one version of it. Raises ModelNotFound when it is not served."""
        async with self._changing():
            model = self._registry.wanted.models.get(name)
            if model is None or (version and version not in model.versions):
                raise ModelNotFound(
                    f"{name}{f' of version {version}' if version else ''} is not loaded.", param="model"
                )
            await self._commit(name, [one for one in model.versions if version and one != version])

    @contextlib.asynccontextmanager
    async def _changing(self) -> AsyncIterator[None]:
        """Nobody else changes what is wanted meanwhile, in any worker, and this worker has followed all that was."""
        try:
            with self._state.lock():
                pass
        except OSError as error:
            raise Unavailable(f"Models cannot be changed while the server runs: {error}.") from None
        deadline = time.monotonic() + self._patience
        while time.monotonic() < deadline:
            with self._state.lock() as mine:
                if mine:
                    wanted = self._state.read()
                    if wanted is not None and wanted.generation != self._registry.wanted.generation:
                        await self._registry.apply(wanted)
                    yield
                    return
            await asyncio.sleep(_POLL_SECONDS)
        raise Unavailable("Another model is being loaded. Try again shortly.", retry_after=5)

    async def _find(self, name: str, version: str | None) -> ModelSpec:
        try:
            return (await asyncio.to_thread(store.find, name, version))[0]
        except ModelMissing as error:
            raise ModelNotFound(str(error), param="model") from None
        except ModelError as error:
            raise ModelLoadFailed(str(error), param="model") from None

    async def _stage(self, wanted: Wanted) -> None:
        """Let every worker load what is staged, this one first."""
        before = self._registry.wanted
        assert wanted.staged is not None
        key = wanted.staged
        await self._registry.apply(wanted)
        reason = self._shelf.failure(key)
        if reason is None:
            self._state.write(wanted)
            reason = await self._others(wanted.generation, key)
        if reason is not None:
            restored = Wanted(wanted.generation + 1, before.models)
            self._state.write(restored)
            await self._registry.apply(restored)
            raise ModelLoadFailed(reason, param="model")

    async def _commit(self, name: str, versions: Iterable[str]) -> None:
        """Serve these versions of a model, the newest or pinned one under its bare name, in every worker."""
        runners = [self._shelf.get((name, version)) for version in set(versions)]
        specs = [runner.spec for runner in runners if runner is not None]
        ordered = [
            spec.version for spec in sorted(specs, key=lambda spec: (spec.trained_at, spec.version), reverse=True)
        ]
        pinned = self._pinned.get(name)
        default = pinned if pinned in ordered else ordered[0] if ordered else None
        model = WantedModel(default, tuple(ordered)) if default else None
        if model == self._registry.wanted.models.get(name):
            return
        wanted = self._registry.wanted.serving(name, model)
        self._state.write(wanted)
        await self._registry.apply(wanted)
        await self._others(wanted.generation, None)

    async def _others(self, generation: int, key: Key | None) -> str | None:
        """Wait until every live worker has come to `generation`; why one of them could not load `key`."""
        deadline = time.monotonic() + self._patience
        while True:
            reports = self._state.reports()
            late = [pid for pid, report in reports.items() if report.generation < generation]
            if not late:
                break
            if time.monotonic() > deadline:
                return f"{len(late)} of {len(reports)} workers did not load it in {self._patience:g} s."
            await asyncio.sleep(_POLL_SECONDS / 4)
        failures = [report.failures.get(":".join(key)) for report in reports.values()] if key else []
        return next((reason for reason in failures if reason), None)
