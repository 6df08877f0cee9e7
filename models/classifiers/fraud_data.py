"""Synthetic card payments, drawn by a seeded generator. No real payment, card or person is behind any of them.

A payment is honest, or belongs to one of three kinds of fraud:

- *stolen card*: the card itself is used, far from home, several times within the hour, for more than usual;
- *stolen number*: online, often abroad and at night, at risky merchants, for much more than usual;
- *card testing*: tiny online payments in quick succession, most of them declined.

The kinds overlap with honest payments (people travel, splurge and mistype), so no model can be perfect.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from models.classifiers.fraud import FEATURES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Columns = dict[str, NDArray[np.float64]]

FRAUD_RATE = 0.02
"""Share of payments that are fraud, before chance."""
_KINDS = {"stolen card": 0.35, "stolen number": 0.45, "card testing": 0.2}
_HOME_COUNTRY_KM = 300.0
"""Beyond this distance a merchant is mostly abroad."""


def draw(count: int, seed: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Draw payments: values of shape (count, features) in the order of `FEATURES`, and 1 for fraud, else 0.

    The same `count` and `seed` give the same payments.
    """
    rng = np.random.default_rng(seed)
    kinds = np.array(["honest", *_KINDS])
    shares = np.array([1 - FRAUD_RATE, *(FRAUD_RATE * share for share in _KINDS.values())])
    kind = rng.choice(kinds, size=count, p=shares)
    drawn = {name: generator(rng, count) for name, generator in _GENERATORS.items()}
    rows = np.empty((count, len(FEATURES)), dtype=np.float32)
    for index, feature in enumerate(FEATURES):
        values = np.select([kind == name for name in drawn], [columns[feature.name] for columns in drawn.values()])
        rows[:, index] = np.clip(values, feature.low, feature.high)
    return rows, (kind != "honest").astype(np.int64)


def _honest(rng: np.random.Generator, count: int) -> Columns:
    distance = np.where(_chance(rng, count, 0.85), rng.exponential(12, count), rng.lognormal(np.log(350), 1.1, count))
    payments = rng.poisson(0.15, count)
    return _columns(
        rng,
        ratio=rng.lognormal(0, 0.75, count),
        hour=rng.normal(14, 4.2, count),
        distance=distance,
        minutes=np.where(payments > 0, rng.uniform(1, 60, count), rng.lognormal(np.log(900), 1.2, count)),
        payments=payments,
        declined=rng.poisson(0.06, count),
        risk=rng.beta(1.5, 12, count),
        card_present=_chance(rng, count, 0.65),
        age=rng.exponential(1400, count),
    )


def _stolen_card(rng: np.random.Generator, count: int) -> Columns:
    payments = rng.poisson(2, count)
    return _columns(
        rng,
        ratio=rng.lognormal(np.log(2.6), 0.7, count),
        hour=rng.uniform(0, 24, count),
        distance=rng.lognormal(np.log(120), 1.3, count),
        minutes=np.where(payments > 0, rng.uniform(1, 60, count), rng.lognormal(np.log(300), 1, count)),
        payments=payments,
        declined=rng.poisson(0.7, count),
        risk=rng.beta(3, 7, count),
        card_present=_chance(rng, count, 0.9),
        age=rng.exponential(1200, count),
    )


def _stolen_number(rng: np.random.Generator, count: int) -> Columns:
    payments = rng.poisson(0.9, count)
    return _columns(
        rng,
        ratio=rng.lognormal(np.log(3.2), 0.8, count),
        hour=rng.normal(2, 5, count),
        distance=rng.lognormal(np.log(900), 1.4, count),
        minutes=np.where(payments > 0, rng.uniform(1, 60, count), rng.lognormal(np.log(400), 1.2, count)),
        payments=payments,
        declined=rng.poisson(0.8, count),
        risk=rng.beta(4, 6, count),
        card_present=_chance(rng, count, 0.02),
        age=rng.exponential(500, count),
    )


def _card_testing(rng: np.random.Generator, count: int) -> Columns:
    return _columns(
        rng,
        ratio=rng.lognormal(np.log(0.06), 0.6, count),
        hour=rng.uniform(0, 24, count),
        distance=rng.lognormal(np.log(700), 1.4, count),
        minutes=rng.exponential(4, count),
        payments=1 + rng.poisson(5, count),
        declined=rng.poisson(3.5, count),
        risk=rng.beta(3, 6, count),
        card_present=np.zeros(count, dtype=bool),
        age=rng.exponential(900, count),
    )


def _chance(rng: np.random.Generator, count: int, share: float) -> NDArray[np.bool_]:
    """True for about `share` of the payments."""
    return rng.random(count) < share


_GENERATORS = {
    "honest": _honest,
    "stolen card": _stolen_card,
    "stolen number": _stolen_number,
    "card testing": _card_testing,
}


def _columns(  # one argument a quantity that the kinds draw in their own way
    rng: np.random.Generator,
    *,
    ratio: NDArray[np.float64],
    hour: NDArray[np.float64],
    distance: NDArray[np.float64],
    minutes: NDArray[np.float64],
    payments: NDArray[np.int64],
    declined: NDArray[np.int64],
    risk: NDArray[np.float64],
    card_present: NDArray[np.bool_],
    age: NDArray[np.float64],
) -> Columns:
    """Columns by feature name, rounded as a payment system would record them."""
    count = len(ratio)
    usual = rng.lognormal(np.log(32), 0.6, count)
    amount = np.maximum(np.round(ratio * usual, 2), 0.01)
    abroad = rng.random(count) < np.where(distance > _HOME_COUNTRY_KM, 0.7, 0.01)
    return {
        "amount": amount,
        "amount_vs_usual": np.round(amount / usual, 2),
        "hour": np.floor(hour) % 24,
        "distance_from_home_km": np.round(distance, 1),
        "minutes_since_last": np.round(minutes),
        "payments_last_hour": payments.astype(np.float64),
        "declined_last_day": declined.astype(np.float64),
        "merchant_risk": np.round(risk, 2),
        "card_present": card_present.astype(np.float64),
        "foreign": abroad.astype(np.float64),
        "account_age_days": np.round(age),
    }
