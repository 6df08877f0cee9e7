"""Turns a stored model into an engine that is ready to answer."""

from __future__ import annotations

from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from models.errors import ModelBroken

if TYPE_CHECKING:
    from pathlib import Path

    from models.spec import Engine, ModelSpec, Rows

LOADERS = MappingProxyType(
    {
        "linear": "models.engines.linear",
        "trees": "models.engines.trees",
        "convnet": "models.engines.convnet",
    }
)
"""Module of each engine. It has ``load(spec, folder, threads) -> Engine`` and is imported only when it is needed."""

_WARM_UP_ROWS = (1, 32)


def load_engine(spec: ModelSpec, folder: Path, *, threads: int = 1) -> Engine:
    """Load the weights in `folder` and predict a few rows, so that the first caller does not pay for it.

    What only explanations need (xgboost, torch) is loaded at the first of them, or by `warm_up_attributions`.

    Raises:
        ModelBroken: the engine is unknown, the weights cannot be read, or a first row fails.

    """
    tag = f"{spec.name}:{spec.version}"
    if spec.engine not in LOADERS:
        raise ModelBroken(f"Model {tag} asks for the engine {spec.engine!r}; known are {', '.join(LOADERS)}.")
    try:
        engine: Engine = import_module(LOADERS[spec.engine]).load(spec, folder, threads)
        for count in _WARM_UP_ROWS:
            engine.predict(np.repeat(middle_row(spec), count, axis=0))
    except Exception as error:
        raise ModelBroken(f"Model {tag} cannot be loaded: {error}") from error
    return engine


def warm_up_attributions(engine: Engine) -> None:
    """Explain one row, so that the first caller who wants an explanation does not wait seconds for imports.

    May run in another thread while `engine` predicts.
    """
    engine.attribute(middle_row(engine.spec))


def middle_row(spec: ModelSpec) -> Rows:
    """A row with every feature in the middle of its range, shape (1, features)."""
    return np.array([[(feature.low + feature.high) / 2 for feature in spec.features]], dtype=np.float32)
