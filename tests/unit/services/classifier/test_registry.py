from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pytest

from models import store
from models.engines import linear
from services.classifier.engine_runner import EngineRunner, Executors
from services.classifier.registry import Registry
from services.classifier.serving_state import Report, ServingState, Wanted
from services.errors import ModelLoadFailed, ModelNotFound, Unavailable
from tests.fakes import make_spec

if TYPE_CHECKING:
    from pathlib import Path

    from models.spec import ModelSpec

ROW = np.array([[3, 1, 0]], np.float32)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BENTOML_HOME", str(tmp_path))
    return tmp_path


def put(month: int, *, name: str = "toy", weights: str | None = None) -> ModelSpec:
    """Store a version; with `weights`, one that cannot be loaded."""
    spec = make_spec(name).model_copy(
        update={"engine": "linear", "trained_at": make_spec().trained_at.replace(month=month)}
    )

    def write(folder: Path) -> None:
        linear.write(folder, np.array([[0, 0, 0], [month, 0, 0]], float), np.zeros(2), np.zeros(3))
        if weights is not None:
            (folder / linear.WEIGHTS_FILE).write_text(weights)

    return store.save(spec, write)


@dataclass
class OtherWorker:
    """What the other workers of a run do, played by hand: follows every change, and reports what it is told to."""

    state: ServingState
    failures: dict[str, str]

    async def follow(self) -> None:
        while True:
            wanted = self.state.read()
            if wanted is not None:
                self.state.report(Report(wanted.generation, self.failures))
            await asyncio.sleep(0.01)


def make_registry(
    home: Path, pinned: dict[str, str] | None = None, *, keep: float = 60, patience: float = 5
) -> Registry:
    executors = Executors.create()
    return Registry(
        ServingState(home / "run"),
        lambda engine: EngineRunner(engine, executors),
        pinned=pinned or {},
        threads=1,
        keep_seconds=keep,
        patience=patience,
    )


def served(registry: Registry) -> dict[str, str]:
    models: dict[str, str] = registry.status()["models"]  # type: ignore[assignment]
    return models


async def test_the_start_takes_the_newest_or_pinned_version_of_each(home: Path) -> None:
    old, new, other = put(1), put(2), put(1, name="other")
    assert served(make_registry(home)) == {"toy": new.version, "other": other.version}
    assert served(make_registry(home / "second", {"toy": old.version})) == {"toy": old.version, "other": other.version}
    assert served(make_registry(home / "third", {"toy": "gone"})) == {"other": other.version}


async def test_a_second_worker_serves_what_the_first_was_told_to(home: Path) -> None:
    old = put(1)
    registry = make_registry(home)
    put(2)
    assert served(make_registry(home)) == {"toy": old.version}
    registry.start()
    await registry.load("toy")
    assert served(make_registry(home)) == served(registry) != {"toy": old.version}
    await registry.stop()


async def test_load_swaps_and_the_old_version_finishes_what_it_began(home: Path) -> None:
    old = put(1)
    registry = make_registry(home)
    before = registry.runner("toy")
    new = put(2)
    await registry.load("toy")
    assert registry.runner("toy").spec == new
    assert registry.runner("toy", old.version) is before
    assert (await registry.runner("toy", old.version).predict(ROW)).shape == (1, 2)
    assert [spec.version for spec in registry.served] == [new.version]


async def test_an_old_version_goes_after_its_time(home: Path) -> None:
    old = put(1)
    registry = make_registry(home, keep=0)
    registry.start()
    put(2)
    await registry.load("toy")
    await asyncio.wait_for(until_missing(registry, old.version), 5)
    await registry.stop()


async def until_missing(registry: Registry, version: str) -> None:
    try:
        while True:
            registry.runner("toy", version)
            await asyncio.sleep(0.02)
    except ModelNotFound:
        return


async def test_a_named_version_is_served_beside_the_default(home: Path) -> None:
    old, new = put(1), put(2)
    registry = make_registry(home)
    await registry.load("toy", old.version)
    assert served(registry) == {"toy": new.version}
    assert {spec.version for spec in registry.served} == {old.version, new.version}
    await registry.unload("toy", new.version)
    assert served(registry) == {"toy": old.version}
    await registry.unload("toy")
    assert served(registry) == {}
    with pytest.raises(ModelNotFound, match="not loaded"):
        await registry.unload("toy")


async def test_the_pinned_version_stays_the_default(home: Path) -> None:
    old, new = put(1), put(2)
    registry = make_registry(home, {"toy": old.version})
    await registry.load("toy", new.version)
    assert served(registry) == {"toy": old.version}
    await registry.load("toy")
    assert served(registry) == {"toy": old.version}


async def test_a_broken_version_leaves_the_old_one_and_says_why(home: Path) -> None:
    old = put(1)
    registry = make_registry(home)
    broken = put(2, weights='{"coefficients": 1}')
    with pytest.raises(ModelLoadFailed, match=f"toy:{broken.version} cannot be loaded"):
        await registry.load("toy")
    assert served(registry) == {"toy": old.version}
    listing = await registry.listing()
    assert [(one.version, "cannot be loaded" in one.reason) for one in listing.stored] == [(broken.version, True)]


async def test_a_broken_model_does_not_keep_a_worker_from_starting(home: Path) -> None:
    put(1, weights="{")
    good = put(1, name="good")
    registry = make_registry(home)
    assert served(registry) == {"good": good.version}
    repaired = put(2)
    await registry.load("toy")
    assert served(registry)["toy"] == repaired.version


async def test_what_is_not_in_the_store_is_not_found(home: Path) -> None:
    registry = make_registry(home)
    for name, version in (("nothing", ""), ("../etc", ""), ("toy", "v9")):
        with pytest.raises(ModelNotFound):
            await registry.load(name, version)


async def test_load_waits_for_every_worker_and_undoes_what_one_of_them_cannot(home: Path) -> None:
    old = put(1)
    registry = make_registry(home)
    other = OtherWorker(other_worker(home), {})
    following = asyncio.create_task(other.follow())
    new = put(2)
    await registry.load("toy")
    assert served(registry) == {"toy": new.version}

    worse = put(3)
    other.failures = {f"toy:{worse.version}": "Out of memory."}
    with pytest.raises(ModelLoadFailed, match="Out of memory"):
        await registry.load("toy")
    assert served(registry) == {"toy": new.version}
    following.cancel()
    assert old.version != new.version


def other_worker(home: Path) -> ServingState:
    """The state as the process that started this one would have it: its report counts as a live worker's."""
    state = ServingState(home / "run", worker=os.getppid())
    state.report(Report(1))
    return state


async def test_load_gives_up_on_a_worker_that_does_not_follow(home: Path) -> None:
    old = put(1)
    registry = make_registry(home, patience=0.2)
    other_worker(home)
    put(2)
    with pytest.raises(ModelLoadFailed, match="1 of 2 workers"):
        await registry.load("toy")
    assert served(registry) == {"toy": old.version}


async def test_a_worker_follows_what_another_was_told(home: Path) -> None:
    put(1)
    registry = make_registry(home)
    registry.start()
    new = put(2)
    state = ServingState(home / "run")
    wanted = state.read()
    assert wanted is not None
    state.write(wanted.staging("toy", new.version))
    await asyncio.wait_for(until_generation(state, 2), 5)
    assert registry.runner("toy", new.version).spec == new
    await registry.stop()
    assert state.reports() == {}


async def until_generation(state: ServingState, generation: int) -> None:
    while not any(report.generation == generation for report in state.reports().values()):  # noqa: ASYNC110 - a file
        await asyncio.sleep(0.02)


async def test_one_change_at_a_time(home: Path) -> None:
    put(1)
    registry = make_registry(home, patience=0.2)
    with ServingState(home / "run").lock(), pytest.raises(Unavailable, match="Another model"):
        await registry.load("toy")


async def test_a_folder_that_cannot_be_written_is_no_reason_not_to_serve(home: Path) -> None:
    old = put(1)
    (home / "run").write_text("not a folder")
    registry = make_registry(home)
    assert served(registry) == {"toy": old.version}
    with pytest.raises(Unavailable, match="cannot be changed"):
        await registry.load("toy")


async def test_concurrent_loads_all_come_true(home: Path) -> None:
    registry = make_registry(home)
    names = [put(1, name=f"toy{index}").name for index in range(4)]
    await asyncio.gather(*(registry.load(name) for name in names))
    assert sorted(served(registry)) == names
    wanted = ServingState(home / "run").read()
    assert isinstance(wanted, Wanted)
    assert sorted(wanted.models) == names
