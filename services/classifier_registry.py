"""Which models a Classifier worker holds, and how that changes while it serves.

A version is loaded and warmed up in a thread before anybody can reach it, and held for a while after it stopped being
served, so requests that were sent to it finish. Requests name the version they mean; nothing is ever swapped
under them.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import msgspec

from models import store
from models.errors import ModelError, ModelMissing
from services.classifier_routes import Listed, Listing, StoredModel
from services.engine_shelf import EngineShelf
from services.errors import ModelLoadFailed, ModelNotFound, Unavailable
from services.serving_state import Report, Wanted, WantedModel

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping

    from models.spec import AnyEngine, ModelSpec
    from services.engine_runner import EngineRunner
    from services.serving_state import ServingState

    Key = tuple[str, str]

_POLL_SECONDS = 0.1
logger = logging.getLogger("tandem.classifier")


class Registry:
    """The models of one worker, kept equal to what `ServingState` says all workers should have."""

    def __init__(
        self,
        state: ServingState,
        make_runner: Callable[[AnyEngine], EngineRunner],
        *,
        pinned: Mapping[str, str],
        threads: int,
        keep_seconds: float,
        patience: float,
    ) -> None:
        """Load what is to be served.

        Args:
            state: what all workers share.
            make_runner: puts an engine to work.
            pinned: version that a model's bare name stands for, where it is not the newest.
            threads: how many an engine may use.
            keep_seconds: how long a version is held after it stopped being served.
            patience: how long all workers may take to follow a change.

        """
        self._state = state
        self._shelf = EngineShelf(make_runner, threads=threads, keep_seconds=keep_seconds)
        self._pinned = pinned
        self._patience = patience
        self._loader = ThreadPoolExecutor(1, "load")
        self._applying = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._wanted = self._begin()

    def runner(self, name: str, version: str = "") -> EngineRunner:
        """What runs a model; without a version the one that its name stands for. Raises ModelNotFound."""
        if not version:
            model = self._wanted.models.get(name)
            version = model.default if model else ""
        runner = self._shelf.get((name, version))
        if runner is None:
            raise ModelNotFound(f"The Classifier has no model {name!r} of version {version!r}.", param="model")
        return runner

    @property
    def served(self) -> tuple[ModelSpec, ...]:
        """The specs of everything that is served."""
        models = self._wanted.models.items()
        runners = [self._shelf.get((name, version)) for name, model in models for version in model.versions]
        return tuple(runner.spec for runner in runners if runner is not None)

    async def warm_up(self) -> None:
        """Get everything that is served ready for explanations."""
        for spec in self.served:
            await _warm_up(self.runner(spec.name, spec.version))

    def status(self) -> dict[str, object]:
        """What the gateway hears at each of its looks."""
        wanted = self._wanted.models.items()
        models = {name: model.default for name, model in wanted if self._shelf.get((name, model.default)) is not None}
        return {"state": "ready", "models": models, "run": self._state.run, "generation": self._wanted.generation}

    def start(self) -> None:
        """Begin to follow what is wanted; needs a running loop."""
        self._in_background(self._follow())

    async def stop(self) -> None:
        """Follow no more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._loader.shutdown(wait=False, cancel_futures=True)
        self._state.leave()

    async def listing(self) -> Listing:
        """What is served, with specs, and what else the store holds."""
        stored = await asyncio.to_thread(store.list_specs, all_versions=True)
        wanted = self._wanted.models
        served = [
            Listed(msgspec.Raw(spec.model_dump_json().encode()), default=wanted[spec.name].default == spec.version)
            for spec in self.served
        ]
        keys = {(spec.name, spec.version) for spec in self.served}
        rest = [
            StoredModel(spec.name, spec.version, self._shelf.failure((spec.name, spec.version)) or "It is not loaded.")
            for spec in stored
            if (spec.name, spec.version) not in keys
        ]
        return Listing(self._state.run, self._wanted.generation, served, rest)

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
            wanted = self._wanted
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
            model = self._wanted.models.get(name)
            if model is None or (version and version not in model.versions):
                raise ModelNotFound(
                    f"{name}{f' of version {version}' if version else ''} is not loaded.", param="model"
                )
            await self._commit(name, [one for one in model.versions if version and one != version])

    def _begin(self) -> Wanted:
        deadline = time.monotonic() + self._patience
        wanted = self._state.read()
        while wanted is None and time.monotonic() < deadline:
            with self._state.lock() as mine:
                wanted = self._state.read()
                if wanted is None and mine:
                    specs = store.list_pinned(self._pinned)
                    wanted = Wanted(1, {spec.name: WantedModel(spec.version, (spec.version,)) for spec in specs})
                    self._state.write(wanted)
            if wanted is None:
                time.sleep(_POLL_SECONDS)
        wanted = wanted or Wanted(0, {})
        while True:  # what is wanted may change while this worker loads
            self._shelf.load(wanted.all())
            self._state.report(Report(wanted.generation, self._shelf.failures()))
            if not self._state.changed():
                return wanted
            wanted = self._state.read() or wanted

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(_POLL_SECONDS)
            try:
                if self._state.changed():
                    wanted = self._state.read()
                    if wanted is not None and wanted.generation != self._wanted.generation:
                        await self._apply(wanted)
                self._shelf.let_go()
            except Exception:
                logger.exception("What is to be served cannot be followed")

    async def _apply(self, wanted: Wanted) -> None:
        async with self._applying:
            before = self._wanted.all()
            self._shelf.want(wanted.all() | before)
            # What could not be loaded before is tried again when somebody asks for it, not at every change.
            missing = wanted.all() - before | ({wanted.staged} if wanted.staged else set())
            loaded = await asyncio.get_running_loop().run_in_executor(self._loader, self._shelf.load, missing)
            self._wanted = wanted
            self._shelf.want(wanted.all())
            self._state.report(Report(wanted.generation, self._shelf.failures()))
        for runner in loaded:
            self._in_background(_warm_up(runner))

    def _in_background(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    @contextlib.asynccontextmanager
    async def _changing(self) -> AsyncIterator[None]:
        """Nobody else changes what is wanted meanwhile, in any worker, and this worker has followed all that was."""
        deadline = time.monotonic() + self._patience
        while time.monotonic() < deadline:
            with self._state.lock() as mine:
                if mine:
                    wanted = self._state.read()
                    if wanted is not None and wanted.generation != self._wanted.generation:
                        await self._apply(wanted)
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
        before = self._wanted
        assert wanted.staged is not None
        key = wanted.staged
        await self._apply(wanted)
        reason = self._shelf.failure(key)
        if reason is None:
            self._state.write(wanted)
            reason = await self._others(wanted.generation, key)
        if reason is not None:
            restored = Wanted(wanted.generation + 1, before.models)
            self._state.write(restored)
            await self._apply(restored)
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
        if model == self._wanted.models.get(name):
            return
        wanted = self._wanted.serving(name, model)
        self._state.write(wanted)
        await self._apply(wanted)
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


async def _warm_up(runner: EngineRunner) -> None:
    """Get a model ready for explanations; one that fails at it still predicts."""
    try:
        await runner.warm_up()
    except Exception:
        logger.exception("%s:%s cannot be explained", runner.spec.name, runner.spec.version)
