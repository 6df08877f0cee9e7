"""Fitted scikit-learn estimators, and whatever else follows their interface."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

import numpy as np

from models.engines import estimator as engine
from models.errors import NotStored
from models.own import boosters
from models.own.draft import (
    Draft,
    Table,
    labels_of,
    names_of,
    reference_of,
    sample_rows,
    table_width,
    values_a_row,
)

if TYPE_CHECKING:
    from pathlib import Path

    from models.engines.table import Meaning
    from models.own.draft import Wishes

_PICKLE_HELP = (
    "Loading a pickle can run any code that whoever made it wanted. If you trust it as you trust your own code, say "
    "--trust-pickle (in Python: trust_pickle=True)"
)


def read(path: Path, wishes: Wishes) -> Draft:
    """A model from a `.skops` or `.joblib` file. Raises NotStored."""
    if path.suffix == ".skops":
        try:
            return draft(engine.read_skops(path, engine.is_harmless), wishes)
        except (ValueError, OSError, KeyError, BadZipFile) as error:
            raise NotStored(
                f"{path.name} is not loaded: {error}. If it is sound, load it where it was made and pass the estimator "
                "itself to models.save.save."
            ) from None
    if not wishes.trust_pickle:
        raise NotStored(f"{path.name} is a pickle. {_PICKLE_HELP}; or save the estimator with skops (.skops) instead.")
    import joblib

    return draft(joblib.load(path), wishes)


def draft(estimator: Any, wishes: Wishes) -> Draft:
    """How a fitted estimator can be served. Raises NotStored."""
    from sklearn.base import is_classifier
    from sklearn.exceptions import NotFittedError
    from sklearn.utils.validation import check_is_fitted

    kind = type(estimator).__name__
    if boosters.is_wrapper(estimator):
        return boosters.from_wrapper(estimator, wishes)
    if not hasattr(estimator, "predict"):
        raise NotStored(f"{kind} cannot be served: it has no method `predict`.")
    try:
        check_is_fitted(estimator)
    except NotFittedError:
        raise NotStored(f"This {kind} is not fitted yet: call fit first.") from None
    classifier = is_classifier(estimator)
    width = table_width(wishes, getattr(estimator, "n_features_in_", None))
    rows = sample_rows(width, wishes.example)
    values, meaning = _try(estimator, rows, classifier=classifier)
    classes = getattr(estimator, "classes_", None) if classifier else None
    labels = labels_of(wishes, classes, None if classes is None else len(classes)) if classifier else ()
    names = wishes.feature_names or names_of(getattr(estimator, "feature_names_in_", None))
    score = engine.scorer(estimator, classifier=classifier)
    pickled = _needs_pickle(estimator, wishes)
    notes = []
    if classifier and not hasattr(estimator, "predict_proba"):
        notes.append(f"{kind} has no probabilities: those served are made from its decision function.")
    if pickled:
        notes.append("It is stored as a pickle, which the server loads because you trust it.")
    return Draft(
        framework="scikit-learn",
        engine="scikit-learn",
        write=partial(engine.write, estimator=estimator, meaning=meaning, pickled=pickled),
        table=Table(width, names, labels, values_a_row(values), reference_of(score, meaning)),
        trusted_pickle=pickled,
        notes=tuple(notes),
    )


def _try(estimator: Any, rows: Any, *, classifier: bool) -> tuple[Any, Meaning]:
    """Values for a few rows, and what they mean."""
    import warnings

    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore", UserWarning)  # of feature names, which the engine makes it forget
            values = np.asarray(engine.scorer(estimator, classifier=classifier)(rows))
            float(values.flat[0])
    except Exception as error:
        raise NotStored(
            f"{type(estimator).__name__} does not predict from rows of numbers alone: {error} Columns must be numbers, "
            "and chosen by position where they are chosen."
        ) from error
    if not classifier:
        return values, "values"
    if hasattr(estimator, "predict_proba"):
        return values, "probabilities"
    return values, "log-odds" if values.ndim == 1 else "scores"


def _needs_pickle(estimator: Any, wishes: Wishes) -> bool:
    """Whether skops cannot hold it. Raises NotStored when it cannot and pickles are not wished for."""
    import skops.io

    try:
        unknown = skops.io.get_untrusted_types(data=skops.io.dumps(estimator))
        unknown = [name for name in unknown if not engine.is_storable(name)]
        why = f"types that skops does not know to be harmless: {', '.join(unknown)}" if unknown else ""
    except Exception as error:  # noqa: BLE001 - whatever it holds that cannot be dumped
        why = f"something that skops cannot store ({error})"
    if why and not wishes.trust_pickle:
        raise NotStored(f"It holds {why}. It could only be stored as a pickle. {_PICKLE_HELP}.")
    return bool(why)
