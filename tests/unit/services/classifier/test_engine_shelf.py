from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from models import store
from models.engines import linear
from services.classifier.engine_runner import EngineRunner, Executors
from services.classifier.engine_shelf import EngineShelf
from tests.fakes import make_spec

if TYPE_CHECKING:
    from pathlib import Path


def put(name: str, weights: str | None = None) -> tuple[str, str]:
    def write(folder: Path) -> None:
        linear.write(folder, np.zeros((2, 3)), np.zeros(2), np.zeros(3))
        if weights is not None:
            (folder / linear.WEIGHTS_FILE).write_text(weights)

    return name, store.save(make_spec(name).model_copy(update={"engine": "linear"}), write).version


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BENTOML_HOME", str(tmp_path))
    return tmp_path


def make(keep_seconds: float = 60) -> EngineShelf:
    executors = Executors.create()
    return EngineShelf(lambda engine: EngineRunner(engine, executors), threads=1, keep_seconds=keep_seconds)


def test_what_is_missing_is_loaded_once() -> None:
    shelf, toy = make(), put("toy")
    assert shelf.get(toy) is None
    [runner] = shelf.load({toy})
    assert shelf.get(toy) is runner
    assert shelf.load({toy}) == []


def test_one_broken_model_does_not_keep_the_others_out_and_may_be_repaired(home: Path) -> None:
    shelf, broken, good = make(), put("broken", "{"), put("good")
    assert [runner.spec.name for runner in shelf.load({broken, good})] == ["good"]
    assert "broken" in (shelf.failure(broken) or "")
    assert list(shelf.failures()) == [":".join(broken)]
    folder = home / "models" / broken[0] / broken[1]
    linear.write(folder, np.zeros((2, 3)), np.zeros(2), np.zeros(3))
    assert [runner.spec.name for runner in shelf.load({broken})] == ["broken"]
    assert shelf.failures() == {}


def test_what_nobody_wants_any_more_is_held_for_its_time() -> None:
    patient, hasty, toy = make(), make(keep_seconds=0), put("toy")
    for shelf in (patient, hasty):
        shelf.load({toy})
        shelf.want(set())
        shelf.let_go()
    assert patient.get(toy) is not None
    assert hasty.get(toy) is None


def test_what_is_wanted_again_stays() -> None:
    shelf, toy = make(keep_seconds=0), put("toy")
    shelf.load({toy})
    shelf.want(set())
    shelf.want({toy})
    shelf.let_go()
    assert shelf.get(toy) is not None
