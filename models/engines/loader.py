"""Turns a stored model into an engine that is ready to answer."""

from __future__ import annotations

from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, cast

import numpy as np

from models.engines import examples
from models.errors import ModelBroken

if TYPE_CHECKING:
    from pathlib import Path

    from models.spec import AnyEngine, Engine, ModelSpec, Rows, TensorEngine

LOADERS = MappingProxyType(
    {
        "linear": "models.engines.linear",
        "trees": "models.engines.trees",
        "convnet": "models.engines.convnet",
        "onnx": "models.engines.onnx_model",
        "xgboost": "models.engines.booster",
        "scikit-learn": "models.engines.estimator",
        "torch": "models.engines.network",
    }
)
"""Module of each engine. It has ``load(spec, folder, threads)``, which returns an `Engine` for a classifier and a
`TensorEngine` for anything else, and is imported only when it is needed."""

_WARM_UP_ROWS = (1, 32)


def load_engine(spec: ModelSpec, folder: Path, *, threads: int = 1) -> AnyEngine:
    """Load the weights in `folder` and predict a few rows, so that the first caller does not pay for it.

    What only explanations need (xgboost, torch) is loaded at the first of them, or by `warm_up_attributions`.

    Raises:
        ModelBroken: the engine is unknown, the weights cannot be read, or a first row fails.

    """
    tag = f"{spec.name}:{spec.version}"
    if spec.engine not in LOADERS:
        raise ModelBroken(f"Model {tag} asks for the engine {spec.engine!r}; known are {', '.join(LOADERS)}.")
    try:
        engine: AnyEngine = import_module(LOADERS[spec.engine]).load(spec, folder, threads)
        if spec.is_classifier:
            classifier = cast("Engine", engine)
            for count in _WARM_UP_ROWS:
                classifier.predict(np.repeat(middle_row(spec), count, axis=0))
        else:
            cast("TensorEngine", engine).infer(examples.read(spec, folder))
    except Exception as error:
        raise ModelBroken(f"Model {tag} cannot be loaded: {_reason(error)}") from error
    return engine


def warm_up_attributions(engine: Engine) -> None:
    """Explain one row, so that the first caller who wants an explanation does not wait seconds for imports.

    May run in another thread while `engine` predicts.
    """
    engine.attribute(middle_row(engine.spec))


def middle_row(spec: ModelSpec) -> Rows:
    """A row with every feature at its typical value, or in the middle of its range, shape (1, features)."""
    values = [(one.low + one.high) / 2 if one.typical is None else one.typical for one in spec.features]
    return np.array([values], dtype=np.float32)


def _reason(error: Exception) -> str:
    """What went wrong, in a line: libraries like to add pages."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
