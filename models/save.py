"""Bring a model of your own: `save(estimator, name="mine", example=X)`, and it can be served.

It takes fitted scikit-learn estimators, XGBoost models, ONNX models, and files of any of these or of a torch network;
what it cannot see in the model, such as the names of columns or classes, you say. The model is tried before it is stored,
in the way in which the server will run it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from models.errors import NotStored
from models.own.draft import Wishes, names_of
from models.own.storing import Added, store_draft

if TYPE_CHECKING:
    from collections.abc import Sequence

    from models.own.draft import Draft
    from models.spec import ModelSpec, Rows, TensorSpec

_READERS = {
    ".onnx": "graphs",
    ".joblib": "estimators",
    ".skops": "estimators",
    ".json": "boosters",
    ".ubj": "boosters",
    ".pt": "networks",
    ".pt2": "networks",
}


def save(
    model: Any,
    *,
    name: str,
    example: Any = None,
    feature_names: Sequence[str] | None = None,
    labels: Sequence[Any] | None = None,
    description: str = "",
    data_source: str = "",
    trust_pickle: bool = False,
) -> ModelSpec:
    """Store a model as a new version of `name`, and return its spec; the server then serves it.

    Args:
        model: a fitted scikit-learn estimator, an XGBoost model, an `onnx.ModelProto`, or the path of a file.
        name: lower-case letters, digits, ``-``, ``_`` and ``.``.
        example: a few rows as the model will get them: a table of numbers, or a data frame, whose columns name features.
        feature_names: names of the columns; default: those the model or the example has.
        labels: names of the classes, in the model's order; default: those the model has.
        description: a sentence that says what it tells, for people.
        data_source: where its training data came from, for people.
        trust_pickle: store it as a pickle if it must be, and let the server load that.

    Raises:
        NotStored: it cannot be served as it is; the message says why.

    """
    wishes = make_wishes(example, feature_names=feature_names, labels=labels, trust_pickle=trust_pickle)
    return add(model, wishes, name=name, description=description, data_source=data_source).spec


def add(model: Any, wishes: Wishes, *, name: str, description: str = "", data_source: str = "") -> Added:
    """As `save`, with everything that can be said about a model. Raises NotStored."""
    draft = _read(Path(model), wishes) if isinstance(model, (str, Path)) else _draft(model, wishes)
    return store_draft(draft, name=name, example=wishes.example, description=description, data_source=data_source)


def make_wishes(
    example: Any = None,
    *,
    feature_names: Sequence[str] | None = None,
    labels: Sequence[Any] | None = None,
    inputs: Sequence[TensorSpec] = (),
    outputs: Sequence[str] = (),
    as_tensors: bool = False,
    trust_pickle: bool = False,
) -> Wishes:
    """`Wishes` out of what people have at hand. Raises NotStored when the example is no table of numbers."""
    columns = getattr(example, "columns", None)
    return Wishes(
        feature_names=names_of(columns if feature_names is None else feature_names),
        labels=names_of(labels),
        example=None if example is None else _rows(example),
        inputs=tuple(inputs),
        outputs=tuple(outputs),
        as_tensors=as_tensors,
        trust_pickle=trust_pickle,
    )


def _rows(example: Any) -> Rows:
    try:
        rows = np.asarray(example, np.float32)
    except (TypeError, ValueError):
        raise NotStored("The example must be a table of numbers.") from None
    if rows.ndim == 1:
        rows = rows[None]
    if rows.ndim != 2 or not rows.size:  # noqa: PLR2004 - a table
        raise NotStored(f"The example must be rows of numbers; it has the shape {list(rows.shape)}.")
    return rows


def _read(path: Path, wishes: Wishes) -> Draft:
    from importlib import import_module

    if not path.is_file():
        raise NotStored(f"There is no file {path}.")
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise NotStored(f"{path.name} is of no known kind. Known are {', '.join(_READERS)}.")
    draft: Draft = import_module(f"models.own.{reader}").read(path, wishes)
    return draft


def _draft(model: Any, wishes: Wishes) -> Draft:
    library = type(model).__module__.split(".")[0]
    if library == "xgboost" and not hasattr(model, "get_booster"):
        from models.own import boosters

        return boosters.draft(model, wishes)
    if library == "onnx":
        from models.own import graphs

        return graphs.draft(model, wishes)
    if library == "torch":
        raise NotStored('Save a torch network to a file and give its path: torch.export.save(program, "model.pt2").')
    from models.own import estimators

    return estimators.draft(model, wishes)
