"""A scikit-learn estimator, run by scikit-learn.

It is stored by skops, which holds data and names of types, and makes only types that it knows, or is told, to be harmless.
A pickle can do anything when it is loaded, so one is only stored, and only loaded, where its owner said to trust it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from models.engines.table import table_engine, write_meaning

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from models.engines.table import Meaning, Scorer
    from models.spec import Engine, ModelSpec, TensorEngine

SKOPS_FILE = "estimator.skops"
PICKLE_FILE = "estimator.joblib"


def write(folder: Path, estimator: Any, meaning: Meaning, *, pickled: bool = False) -> None:
    """Store a fitted estimator, as a pickle only when `pickled` says so."""
    if pickled:
        import joblib

        joblib.dump(estimator, folder / PICKLE_FILE)
    else:
        import skops.io

        skops.io.dump(estimator, folder / SKOPS_FILE)
    write_meaning(folder, meaning)


def load(spec: ModelSpec, folder: Path, threads: int) -> Engine | TensorEngine:  # noqa: ARG001 - the estimator's choice
    """Load what `write` stored. Raises ValueError for a pickle that nobody said to trust."""
    if (folder / SKOPS_FILE).is_file():
        estimator = read_skops(folder / SKOPS_FILE, _is_scikit_learn)
    elif spec.trusted_pickle:
        import joblib

        estimator = joblib.load(folder / PICKLE_FILE)
    else:
        raise ValueError("it is a pickle, and was not stored as a trusted one")
    forget_names(estimator)
    return table_engine(spec, folder, scorer(estimator, classifier=spec.is_classifier))


def scorer(estimator: Any, *, classifier: bool) -> Scorer:
    """The method whose values are served. Raises ValueError when the estimator has none."""
    for name in ("predict_proba", "decision_function") if classifier else ("predict",):
        method: Scorer | None = getattr(estimator, name, None)
        if method is not None:
            return method
    raise ValueError(f"{type(estimator).__name__} has no method to predict with")


def read_skops(path: Path, also: Callable[[str], bool]) -> Any:
    """The estimator in a file of skops, made of types that skops knows and those for which `also` is true of their name.

    Raises ValueError for any other type, and for trees that would lead out of their own memory, which skops warns of.
    """
    import skops.io

    unknown: list[str] = skops.io.get_untrusted_types(file=path)
    refused = [name for name in unknown if not also(name)]
    if refused:
        raise ValueError(f"it holds types that are not known to be harmless: {', '.join(refused)}")
    estimator = skops.io.load(path, trusted=unknown)
    for part in _parts(estimator):
        nodes = _nodes(part)
        if nodes is not None and not _is_sound(*nodes):
            raise ValueError("one of its trees is damaged")
    return estimator


def is_storable(name: str) -> bool:
    """Whether a type, by its name, may be in an estimator that its owner hands over and skops stores."""
    return _is_scikit_learn(name)


def is_harmless(name: str) -> bool:
    """Whether a type may be in a file that somebody sent: trees, which are looked through, are all that skops lacks."""
    return name in _TREES


def forget_names(estimator: Any) -> None:
    """Make a fitted estimator take arrays without a word about the column names that it was fitted with."""
    for part in _parts(estimator):
        getattr(part, "__dict__", {}).pop("feature_names_in_", None)


_TREES = ("sklearn.tree._tree.Tree", "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor")


def _is_scikit_learn(name: str) -> bool:
    return name.startswith("sklearn.")


def _parts(estimator: Any) -> Iterator[Any]:
    """Every object that an estimator is made of, arrays' elements included, numbers and text left out."""
    seen: set[int] = set()
    waiting = [estimator]
    while waiting:
        part = waiting.pop()
        if id(part) in seen:
            continue
        seen.add(id(part))
        if isinstance(part, (list, tuple)):
            waiting += part
        elif isinstance(part, dict):
            waiting += part.values()
        elif isinstance(part, np.ndarray):
            waiting += part.flat if part.dtype.hasobject else ()
        elif type(part).__module__.startswith("sklearn.") or hasattr(part, "get_params"):
            yield part
            waiting += getattr(part, "__dict__", {}).values()


def _nodes(part: Any) -> tuple[NDArray[Any], ...] | None:
    """Left and right children of a tree's nodes, and which nodes have any; None for what is no tree."""
    name = f"{type(part).__module__}.{type(part).__qualname__}"
    if name == _TREES[0]:
        return part.children_left, part.children_right, part.children_left != -1
    if name == _TREES[1]:
        nodes = part.nodes
        return nodes["left"].astype(np.int64), nodes["right"].astype(np.int64), nodes["is_leaf"] == 0
    return None


def _is_sound(left: NDArray[Any], right: NDArray[Any], inner: NDArray[Any]) -> bool:
    """Whether every child is a later node of the same tree, so that every walk ends in a leaf."""
    own = np.arange(len(left))[inner]
    return all(bool(((child > own) & (child < len(left))).all()) for child in (left[inner], right[inner]))
