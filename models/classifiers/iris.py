"""The species of an iris flower from four lengths: a linear model on Fisher's measurements, by scikit-learn."""

from __future__ import annotations

from models.classifiers.recipe import Recipe, Trained, calibration_error, classifier_spec
from models.engines import linear
from models.spec import Feature

LABELS = ("setosa", "versicolor", "virginica")

FEATURES = (
    Feature(name="sepal_length", description="Length of a sepal", unit="cm", low=0.0, high=20.0),
    Feature(name="sepal_width", description="Width of a sepal", unit="cm", low=0.0, high=20.0),
    Feature(name="petal_length", description="Length of a petal", unit="cm", low=0.0, high=20.0),
    Feature(name="petal_width", description="Width of a petal", unit="cm", low=0.0, high=20.0),
)

_SEED = 1936
_FOLDS = 5


def train() -> Trained:
    """Fit on all 150 flowers; the metrics are those of 5-fold cross-validation, each flower judged unseen."""
    import numpy as np
    from sklearn.datasets import load_iris
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import log_loss
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    rows, truth = load_iris(return_X_y=True)
    pipeline = make_pipeline(StandardScaler(), LogisticRegression(C=10, max_iter=1000))
    folds = StratifiedKFold(_FOLDS, shuffle=True, random_state=_SEED)
    unseen = cross_val_predict(pipeline, rows, truth, cv=folds, method="predict_proba")
    scaler, regression = (step for _, step in pipeline.fit(rows, truth).steps)
    # (x - mean) / scale, then W and b, folded into one map of the lengths in cm.
    coefficients = regression.coef_ / scaler.scale_
    intercept = regression.intercept_ - coefficients @ scaler.mean_
    spec = classifier_spec(
        name="iris",
        framework="scikit-learn",
        engine="linear",
        description="Tells three species of iris apart by the lengths and widths of sepal and petal.",
        features=FEATURES,
        labels=LABELS,
        metrics={
            "accuracy": (unseen.argmax(axis=1) == truth).mean(),
            "log_loss": log_loss(truth, unseen),
            "calibration_error": calibration_error(truth, unseen),
        },
        data_source="Fisher's iris measurements (1936), 150 flowers, as scikit-learn ships them. "
        "Metrics by 5-fold cross-validation.",
    )
    return Trained(
        spec,
        lambda folder: linear.write(folder, coefficients, intercept, scaler.mean_),
        rows.astype(np.float32),
        pipeline.predict_proba(rows).astype(np.float32),
    )


RECIPE = Recipe(train, floors={"accuracy": 0.93})
