from __future__ import annotations

import numpy as np
import pytest

from models.classifiers.fraud import FEATURES
from models.classifiers.fraud_data import FRAUD_RATE, draw

NAMES = [feature.name for feature in FEATURES]


def test_a_seed_gives_the_same_payments_and_another_seed_gives_others() -> None:
    rows, truth = draw(500, seed=1)
    again, truth_again = draw(500, seed=1)
    np.testing.assert_array_equal(rows, again)
    np.testing.assert_array_equal(truth, truth_again)
    assert not np.array_equal(rows, draw(500, seed=2)[0])


def test_fraud_is_as_frequent_as_documented() -> None:
    _, truth = draw(100_000, seed=3)
    assert truth.mean() == pytest.approx(FRAUD_RATE, rel=0.1)


def test_fraud_differs_from_honest_payments_in_the_documented_ways() -> None:
    rows, truth = draw(100_000, seed=4)
    honest, fraud = (dict(zip(NAMES, rows[truth == kind].mean(axis=0), strict=True)) for kind in (0, 1))
    for name in ("amount_vs_usual", "distance_from_home_km", "payments_last_hour", "merchant_risk", "foreign"):
        assert fraud[name] > 2 * honest[name], name
    for name in ("minutes_since_last", "card_present", "account_age_days"):
        assert fraud[name] < honest[name], name


def test_flags_and_hours_are_whole() -> None:
    rows, _ = draw(2_000, seed=5)
    for name in ("hour", "card_present", "foreign", "payments_last_hour", "declined_last_day"):
        column = rows[:, NAMES.index(name)]
        np.testing.assert_array_equal(column, np.floor(column))
    assert rows[:, NAMES.index("hour")].max() <= 23
    assert set(np.unique(rows[:, NAMES.index("card_present")])) == {0.0, 1.0}
