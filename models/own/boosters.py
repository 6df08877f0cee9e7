"""XGBoost models: boosters and their scikit-learn wrappers."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any

from models.engines import booster as engine
from models.engines import trees
from models.errors import NotStored
from models.own.draft import Draft, Table, labels_of, names_of, reference_of, sample_rows, table_width, values_a_row

if TYPE_CHECKING:
    from pathlib import Path

    import xgboost

    from models.own.draft import Wishes

_PREFIXES_WITH_LABELS = ("binary:", "multi:")


def read(path: Path, wishes: Wishes) -> Draft:
    """A model from a `.json` or `.ubj` file. Raises NotStored."""
    import xgboost

    try:
        booster = xgboost.Booster(model_file=path)
    except xgboost.core.XGBoostError as error:
        words = str(error).strip().splitlines()
        raise NotStored(f"{path.name} is no XGBoost model: {words[0] if words else error}") from None
    return draft(booster, wishes)


def is_wrapper(estimator: Any) -> bool:
    """Whether it is XGBClassifier, XGBRegressor or the like."""
    return type(estimator).__module__.startswith("xgboost.") and hasattr(estimator, "get_booster")


def from_wrapper(estimator: Any, wishes: Wishes) -> Draft:
    """How such a wrapper can be served: by its booster. Raises NotStored."""
    try:
        booster = estimator.get_booster()
    except Exception:  # noqa: BLE001 - scikit-learn's NotFittedError, or one of XGBoost's own
        raise NotStored(f"This {type(estimator).__name__} is not fitted yet: call fit first.") from None
    return draft(booster, wishes, classes=getattr(estimator, "classes_", None))


def draft(booster: xgboost.Booster, wishes: Wishes, classes: Any = None) -> Draft:
    """How a booster can be served. Raises NotStored."""
    if booster.attr("best_iteration") is not None:  # early stopping: later trees are not part of the model
        booster = booster[: booster.best_iteration + 1]
    learner = json.loads(booster.save_raw("json"))["learner"]
    objective = learner["objective"]["name"]
    meaning = engine.meaning(objective)
    with_labels = objective.startswith(_PREFIXES_WITH_LABELS)
    if with_labels and meaning == "values":
        raise NotStored(f"The objective {objective} gives no probabilities; train with binary:logistic instead.")
    if wishes.labels and not with_labels:
        raise NotStored(f"A model with the objective {objective} has no labels.")
    width = table_width(wishes, booster.num_features())
    count = (int(learner["learner_model_param"]["num_class"]) or 2) if with_labels else None
    labels = labels_of(wishes, classes, count) if with_labels else ()
    kind = "margin" if with_labels else "value"
    score = partial(booster.inplace_predict, predict_type=kind)
    table = Table(
        width=width,
        feature_names=wishes.feature_names or names_of(booster.feature_names),
        labels=labels,
        values=values_a_row(score(sample_rows(width, wishes.example))),
        reference=reference_of(score, meaning),
    )
    named = labels and (wishes.labels or classes is not None)
    notes = () if named or not labels else (f"Its labels are not in the file: they are called {', '.join(labels)}.",)
    plain = Draft("xgboost", "xgboost", partial(engine.write, booster=booster), table, notes=notes)
    if not _fits_trees(learner, objective):
        return plain
    return Draft("xgboost", "trees", partial(trees.write, booster=booster), table, notes=notes, otherwise=plain)


def _fits_trees(learner: dict[str, Any], objective: str) -> bool:
    """Whether the faster engine for two labels can run it."""
    gradient_booster = learner["gradient_booster"]
    if objective != "binary:logistic" or gradient_booster["name"] != "gbtree":
        return False
    return not any(tree["categories"] for tree in gradient_booster["model"]["trees"])
