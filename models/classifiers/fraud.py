"""Whether a card payment is fraud: boosted trees on synthetic payments, by XGBoost."""

from __future__ import annotations

from models.classifiers.recipe import Recipe, Trained, calibration_error, classifier_spec
from models.engines import trees
from models.spec import Feature

LABELS = ("legitimate", "fraud")

FEATURES = (
    Feature(name="amount", description="Amount of the payment", unit="EUR", low=0.0, high=100_000.0),
    Feature(
        name="amount_vs_usual",
        description="Amount divided by the median of the card's payments",
        unit="times",
        low=0.0,
        high=10_000.0,
    ),
    Feature(name="hour", description="Local time of day", unit="h", low=0.0, high=24.0),
    Feature(
        name="distance_from_home_km",
        description="Distance between the merchant and the cardholder's home",
        unit="km",
        low=0.0,
        high=20_040.0,
    ),
    Feature(
        name="minutes_since_last",
        description="Time since the card's previous payment",
        unit="min",
        low=0.0,
        high=1_000_000.0,
    ),
    Feature(
        name="payments_last_hour",
        description="Payments with the card in the hour before",
        low=0.0,
        high=1_000.0,
    ),
    Feature(
        name="declined_last_day",
        description="Declined attempts with the card in the day before",
        low=0.0,
        high=1_000.0,
    ),
    Feature(
        name="merchant_risk",
        description="Risk score of the merchant, from 0 (none known) to 1",
        low=0.0,
        high=1.0,
    ),
    Feature(name="card_present", description="1 when the card was read, 0 for an online payment", low=0.0, high=1.0),
    Feature(name="foreign", description="1 when the merchant is in another country, else 0", low=0.0, high=1.0),
    Feature(name="account_age_days", description="Age of the account", unit="days", low=0.0, high=36_600.0),
)

_SEED = 20
_SEEN = 60_000
_UNSEEN = 40_000
_ROUNDS = 100
_RISING = (
    "distance_from_home_km",
    "payments_last_hour",
    "declined_last_day",
    "merchant_risk",
    "foreign",
)
_FALLING = ("minutes_since_last", "account_age_days")


def train() -> Trained:
    """Fit on 60,000 drawn payments; the metrics are those on 40,000 others."""
    import numpy as np
    import xgboost
    from sklearn.metrics import average_precision_score, log_loss, roc_auc_score

    from models.classifiers.fraud_data import draw

    unseen, truth = draw(_UNSEEN, _SEED + 1)
    settings = {
        "objective": "binary:logistic",
        "tree_method": "hist",
        "max_depth": 3,
        "eta": 0.2,
        "subsample": 0.8,
        "colsample_bytree": 0.8,
        "min_child_weight": 5,
        "seed": _SEED,
        "nthread": 1,
        # More of a bad sign must never make a payment look better, or explanations read as nonsense.
        "monotone_constraints": tuple((f.name in _RISING) - (f.name in _FALLING) for f in FEATURES),
    }
    booster = xgboost.train(settings, xgboost.DMatrix(*draw(_SEEN, _SEED), nthread=1), _ROUNDS)
    fraud = booster.inplace_predict(unseen)
    probabilities = np.stack([1 - fraud, fraud], axis=1)
    spec = classifier_spec(
        name="fraud",
        framework="xgboost",
        engine="trees",
        description="Judges whether a card payment is fraud.",
        features=FEATURES,
        labels=LABELS,
        metrics={
            "average_precision": average_precision_score(truth, fraud),
            "base_rate": truth.mean(),
            "roc_auc": roc_auc_score(truth, fraud),
            "log_loss": log_loss(truth, fraud),
            "calibration_error": calibration_error(truth, probabilities),
        },
        data_source="SYNTHETIC: 60,000 card payments drawn by the seeded generator in models/classifiers/fraud_data.py; "
        "no real payment is among them. Metrics on 40,000 others, drawn likewise.",
    )
    return Trained(spec, lambda folder: trees.write(folder, booster), unseen, probabilities)


RECIPE = Recipe(train, floors={"average_precision": 0.6})
