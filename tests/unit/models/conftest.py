from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import pytest

from models import store
from models.classifiers.catalogue import RECIPES
from models.engines.loader import load_engine, warm_up_attributions
from models.spec import Feature, ModelSpec, TensorSpec

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from models.classifiers.recipe import Trained
    from models.spec import Engine


@dataclass(frozen=True)
class Shelf:
    """The shipped classifiers, trained once for all tests and written to a folder each."""

    trained: dict[str, Trained]
    folders: dict[str, Path]

    def engine(self, name: str, *, threads: int = 1) -> Engine:
        engine = cast("Engine", load_engine(self.trained[name].spec, self.folders[name], threads=threads))
        warm_up_attributions(engine)
        return engine


@pytest.fixture(scope="session")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    trained = {name: recipe.train() for name, recipe in RECIPES.items()}
    folders = {name: tmp_path_factory.mktemp(name) for name in trained}
    for name, one in trained.items():
        one.write(folders[name])
    return Shelf(trained, folders)


@pytest.fixture(scope="session")
def make_spec() -> Callable[..., ModelSpec]:
    """Makes the spec of a linear model of two features, with the fields that a test cares for."""

    def make(**fields: object) -> ModelSpec:
        defaults: dict[str, object] = {
            "name": "toy",
            "version": "unsaved",
            "framework": "scikit-learn",
            "engine": "linear",
            "description": "Tells up from down.",
            "features": (
                Feature(name="height", description="Height", unit="m", low=0, high=10),
                Feature(name="weight", description="Weight", unit="kg", low=0, high=100),
            ),
            "labels": ("down", "up"),
            "inputs": (TensorSpec(name="features", datatype="FP32", shape=(-1, 2)),),
            "outputs": (TensorSpec(name="probabilities", datatype="FP32", shape=(-1, 2)),),
            "trained_at": "2026-01-02T03:04:05Z",
            "data_source": "made up",
        }
        return ModelSpec.model_validate({**defaults, **fields})

    return make


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty BENTOML_HOME; the model store under it does not exist yet."""
    monkeypatch.setenv("BENTOML_HOME", str(tmp_path))
    assert store.list_specs() == ()
    return tmp_path
