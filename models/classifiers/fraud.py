"""Whether a card payment is fraud: what the model sees and says. No framework is imported."""

from __future__ import annotations

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
