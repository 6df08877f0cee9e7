"""Which models a Classifier worker holds, and how that changes while it serves.

A version is loaded and warmed up in a thread before anybody can reach it, and held for a while after it stopped being
served, so requests that were sent to it finish. Requests name the version they mean; nothing is ever swapped
under them.
"""

from __future__ import annotations

import asyncio
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import msgspec

from models import store
from services.classifier.changes import ModelChanges
from services.classifier.engine_shelf import EngineShelf
from services.classifier.routes import Listed, Listing, StoredModel
from services.classifier.serving_state import Report, Wanted, WantedModel
from services.errors import ModelNotFound

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from models.spec import AnyEngine, ModelSpec
    from services.classifier.engine_runner import EngineRunner
    from services.classifier.serving_state import ServingState

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
        self._changes = ModelChanges(self, state, self._shelf, pinned=pinned, patience=patience)
        self.wanted = self._begin()
        """What this worker has come to."""

    def runner(self, name: str, version: str = "") -> EngineRunner:
        """What runs a model; without a version the one that its name stands for. Raises ModelNotFound."""
        if not version:
            model = self.wanted.models.get(name)
            version = model.default if model else ""
        runner = self._shelf.get((name, version))
        if runner is None:
            raise ModelNotFound(f"The Classifier has no model {name!r} of version {version!r}.", param="model")
        return runner

    @property
    def served(self) -> tuple[ModelSpec, ...]:
        """The specs of everything that is served."""
        models = self.wanted.models.items()
        runners = [self._shelf.get((name, version)) for name, model in models for version in model.versions]
        return tuple(runner.spec for runner in runners if runner is not None)

    async def warm_up(self) -> None:
        """Get everything that is served ready for explanations."""
        for spec in self.served:
            await _warm_up(self.runner(spec.name, spec.version))

    def status(self) -> dict[str, object]:
        """What the gateway hears at each of its looks."""
        wanted = self.wanted.models.items()
        models = {name: model.default for name, model in wanted if self._shelf.get((name, model.default)) is not None}
        return {"state": "ready", "models": models, "run": self._state.run, "generation": self.wanted.generation}

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
        wanted = self.wanted.models
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
        return Listing(self._state.run, self.wanted.generation, served, rest)

    async def load(self, name: str, version: str = "") -> None:
        """See `ModelChanges.load`."""
        await self._changes.load(name, version)

    async def unload(self, name: str, version: str = "") -> None:
        """See `ModelChanges.unload`."""
        await self._changes.unload(name, version)

    def _begin(self) -> Wanted:
        try:
            wanted = self._agree()
            while True:  # what is wanted may change while this worker loads
                self._shelf.load(wanted.all())
                self._state.report(Report(wanted.generation, self._shelf.failures()))
                if not self._state.changed():
                    return wanted
                wanted = self._state.read() or wanted
        except OSError as error:
            logger.error("What is served cannot change while the server runs: %s", error)  # noqa: TRY400 - one line
            wanted = self._at_start()
            self._shelf.load(wanted.all())
            return wanted

    def _agree(self) -> Wanted:
        """What the workers that started before agreed on; the first of them says it."""
        deadline = time.monotonic() + self._patience
        wanted = self._state.read()
        while wanted is None and time.monotonic() < deadline:
            with self._state.lock() as mine:
                wanted = self._state.read()
                if wanted is None and mine:
                    wanted = self._at_start()
                    self._state.write(wanted)
            if wanted is None:
                time.sleep(_POLL_SECONDS)
        return wanted or self._at_start()

    def _at_start(self) -> Wanted:
        specs = store.list_pinned(self._pinned)
        return Wanted(1, {spec.name: WantedModel(spec.version, (spec.version,)) for spec in specs})

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(_POLL_SECONDS)
            try:
                if self._state.changed():
                    wanted = self._state.read()
                    if wanted is not None and wanted.generation != self.wanted.generation:
                        await self.apply(wanted)
                self._shelf.let_go()
            except Exception:
                logger.exception("What is to be served cannot be followed")

    async def apply(self, wanted: Wanted) -> None:
        """Hold and serve exactly this, and report it to the other workers."""
        async with self._applying:
            if wanted.generation < self.wanted.generation:
                return  # read from the file before a newer one was applied
            before = self.wanted.all()
            self._shelf.want(wanted.all() | before)
            # What could not be loaded before is tried again when somebody asks for it, not at every change.
            missing = wanted.all() - before | ({wanted.staged} if wanted.staged else set())
            loaded = await asyncio.get_running_loop().run_in_executor(self._loader, self._shelf.load, missing)
            self.wanted = wanted
            self._shelf.want(wanted.all())
            self._state.report(Report(wanted.generation, self._shelf.failures()))
        for runner in loaded:
            self._in_background(_warm_up(runner))

    def _in_background(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _warm_up(runner: EngineRunner) -> None:
    """Get a model ready for explanations; one that fails at it still predicts."""
    try:
        await runner.warm_up()
    except Exception:
        logger.exception("%s:%s cannot be explained", runner.spec.name, runner.spec.version)
