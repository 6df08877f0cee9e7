"""From a draft to a stored version: described, written, loaded as the server will, tried, and only then kept."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, cast
from warnings import catch_warnings, simplefilter

import numpy as np

from models import store
from models.engines import examples
from models.engines.loader import load_engine
from models.engines.table import PREDICTION, table_tensors
from models.errors import ModelBroken, NotStored
from models.own.draft import sample_rows
from models.spec import UNBOUNDED, Feature, ModelSpec

if TYPE_CHECKING:
    from models.own.draft import Draft, Table
    from models.spec import AnyEngine, Engine, Rows, TensorEngine

PARITY = 1e-4
"""Most that a served probability may differ from the training library's, and a value relative to its size."""


@dataclass(frozen=True, slots=True)
class Added:
    """A model that was stored."""

    spec: ModelSpec
    notes: tuple[str, ...]
    """What its owner should know of how it was understood."""


def store_draft(
    draft: Draft, *, name: str, example: Rows | None = None, description: str = "", data_source: str = ""
) -> Added:
    """Check and store a model. Raises NotStored; nothing is stored then."""
    if not store.is_name(name):
        raise NotStored(
            f"{name!r} cannot be a model's name: it takes lower-case letters, digits, '-', '_' and '.', at most 63 of them."
        )
    spec = _spec(draft, name, example, description, data_source)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        try:
            _write(draft, folder)
            engine = load_engine(spec, folder)
            _check(draft, engine, example)
        except (ModelBroken, NotStored) as error:
            if draft.otherwise is not None:
                return store_draft(
                    draft.otherwise, name=name, example=example, description=description, data_source=data_source
                )
            raise NotStored(
                str(error).replace(f"Model {name}:unsaved cannot be loaded: ", "It does not run: ")
            ) from None
        saved = store.save(spec, lambda target: _copy(folder, target))
    return Added(saved, draft.notes)


def _spec(draft: Draft, name: str, example: Rows | None, description: str, data_source: str) -> ModelSpec:
    table = draft.table
    inputs, outputs = (
        (draft.inputs, draft.outputs) if table is None else table_tensors(table.width, len(table.labels), table.values)
    )
    if table is not None and len(set(table.labels)) != len(table.labels):
        raise NotStored(f"A label is there twice: {', '.join(table.labels)}.")
    return ModelSpec(
        name=name,
        version="unsaved",
        framework=draft.framework,
        engine=draft.engine,
        description=description or f"{name}, a model of its owner's ({draft.framework}).",
        features=_features(table, example) if table else (),
        labels=table.labels if table else (),
        inputs=inputs,
        outputs=outputs,
        trained_at=datetime.now(UTC),
        data_source=data_source or "Not said by its owner.",
        trusted_pickle=draft.trusted_pickle,
        rows_are_independent=table is not None or draft.rows_are_independent,
    )


def _features(table: Table, example: Rows | None) -> tuple[Feature, ...]:
    names = table.feature_names or tuple(f"x{index}" for index in range(table.width))
    if len(names) != table.width or len(set(names)) != len(names):
        raise NotStored(f"It takes {table.width} features, each with a name of its own; named are {', '.join(names)}.")
    typical = [None] * table.width if example is None or not len(example) else np.median(example, axis=0).tolist()
    return tuple(
        Feature(name=one, description=one, low=-UNBOUNDED, high=UNBOUNDED, typical=middle)
        for one, middle in zip(names, typical, strict=True)
    )


def _write(draft: Draft, folder: Path) -> None:
    try:
        draft.write(folder)
    except Exception as error:
        raise NotStored(f"It cannot be written to a file: {error}") from error
    if draft.table is None and draft.example is not None:
        examples.write(folder, draft.example)


def _check(draft: Draft, engine: AnyEngine, example: Rows | None) -> None:
    """Let the model answer, as it will be served. Raises NotStored when the answer is not what it should be."""
    if draft.table is None:
        _check_tensors(engine, draft)
        return
    rows = sample_rows(draft.table.width, example)
    if engine.spec.is_classifier:
        answers = cast("Engine", engine).predict(rows)
        if answers.shape != (len(rows), len(draft.table.labels)):
            raise NotStored(f"It answered {len(rows)} rows with {list(answers.shape)} probabilities.")
    else:
        answers = cast("TensorEngine", engine).infer({"features": rows})[PREDICTION]
    if not np.isfinite(answers).all():
        raise NotStored("It answered with numbers that are not finite.")
    if draft.table.reference is not None:
        with catch_warnings():
            simplefilter("ignore", UserWarning)  # of column names, which the engine makes an estimator forget
            expected = np.asarray(draft.table.reference(rows), np.float64).reshape(answers.shape)
        if not np.allclose(answers, expected, rtol=PARITY, atol=PARITY):
            worst = float(np.abs(answers - expected).max())
            raise NotStored(f"Served, it answers otherwise than {draft.framework} does, by up to {worst:.2g}.")


def _check_tensors(engine: AnyEngine, draft: Draft) -> None:
    answers = cast("TensorEngine", engine).infer(draft.example or {})
    for tensor in draft.outputs:
        array = answers[tensor.name]
        fits = len(array.shape) == len(tensor.shape) and all(
            wanted in (-1, size) for wanted, size in zip(tensor.shape, array.shape, strict=True)
        )
        if not fits or examples.datatype_of(array.dtype) != tensor.datatype:
            raise NotStored(
                f"Output {tensor.name!r} came as {array.dtype} {list(array.shape)}, not as {tensor.datatype} "
                f"{list(tensor.shape)}."
            )


def _copy(source: Path, target: Path) -> None:
    import shutil

    shutil.copytree(source, target, dirs_exist_ok=True)
