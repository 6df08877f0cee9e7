"""A model that somebody brings, as far as it is understood: what each source of models makes, and storing takes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from models.errors import NotStored

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from models.engines.table import Meaning, Scorer
    from models.spec import Rows, Tensors, TensorSpec


@dataclass(frozen=True, slots=True)
class Wishes:
    """What its owner says about a model, where that cannot be seen in the model itself."""

    feature_names: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    example: Rows | None = None
    """Rows as the model will get them, shape (rows, features)."""
    inputs: tuple[TensorSpec, ...] = ()
    """Tensors that a network takes, where its file does not say."""
    outputs: tuple[str, ...] = ()
    """Names for a network's outputs, in order."""
    as_tensors: bool = False
    """Serve the graph's own tensors, even where it could be served as a classifier."""
    trust_pickle: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """A model over rows of features."""

    width: int
    feature_names: tuple[str, ...]
    """Empty when nobody has said them."""
    labels: tuple[str, ...]
    """Empty for a model that predicts values."""
    values: int
    """Values a row of a model that predicts values."""
    reference: Callable[[Rows], Any] | None = None
    """What the training library itself answers for rows: probabilities, or values."""


@dataclass(frozen=True, slots=True)
class Draft:
    """One way in which a model can be served."""

    framework: str
    engine: str
    write: Callable[[Path], None]
    """Writes into a folder what the engine reads."""
    table: Table | None = None
    inputs: tuple[TensorSpec, ...] = ()
    """Of a model that is not over a table."""
    outputs: tuple[TensorSpec, ...] = ()
    example: Tensors | None = None
    """Inputs of one call of a model that is not over a table."""
    rows_are_independent: bool = True
    trusted_pickle: bool = False
    notes: tuple[str, ...] = ()
    """What its owner should know of how it was understood."""
    otherwise: Draft | None = None
    """A slower way, for when this one does not answer as the training library does."""


def names_of(given: Sequence[Any] | None) -> tuple[str, ...]:
    """Names or labels as text; none for None."""
    return () if given is None else tuple(str(one) for one in given)


def table_width(wishes: Wishes, known: int | None) -> int:
    """Number of features, from what the model or its owner says. Raises NotStored when they differ or say nothing."""
    said = {
        "the model": known,
        "the feature names": len(wishes.feature_names) or None,
        "the example": None if wishes.example is None else wishes.example.shape[1],
    }
    widths = {who: width for who, width in said.items() if width}
    if not widths:
        raise NotStored("How many features does it take? Give their names (--features a,b,c) or an example.")
    if len(set(widths.values())) > 1:
        words = ", ".join(f"{who}: {width}" for who, width in widths.items())
        raise NotStored(f"The number of features does not agree. {words}.")
    return next(iter(widths.values()))


def labels_of(wishes: Wishes, known: Sequence[Any] | None, count: int | None) -> tuple[str, ...]:
    """The labels: its owner's, or else the model's. Raises NotStored when there are not `count`."""
    labels = wishes.labels or names_of(known)
    if count and not labels:
        return tuple(str(index) for index in range(count))
    if count and len(labels) != count:
        raise NotStored(f"It tells {count} classes apart; {len(labels)} labels were given: {', '.join(labels)}.")
    return labels


def sample_rows(width: int, example: Rows | None, count: int = 100) -> Rows:
    """Rows to try a model with: the example's first, or else made-up ones between 0 and 1."""
    if example is not None and len(example):
        return np.ascontiguousarray(example[:count], np.float32)
    return np.random.default_rng(1).uniform(size=(8, width)).astype(np.float32)


def values_a_row(values: Any) -> int:
    """How many values a model predicts for a row."""
    return math.prod(np.shape(values)[1:])


def reference_of(score: Scorer, meaning: Meaning) -> Callable[[Rows], Any]:
    """What a library answers, as it is to be served."""
    from models.engines.table import to_probabilities

    return score if meaning == "values" else lambda rows: to_probabilities(np.asarray(score(rows)), meaning)
