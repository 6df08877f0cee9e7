"""Free texts about a card payment, with the features that they give. Evaluation has its own: see `held_out_texts`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.classifiers.fraud import FEATURES
from models.llm import prompts
from models.llm.training import any_texts
from models.llm.training.dialogue import chance
from models.llm.training.explaining import feature_value

if TYPE_CHECKING:
    from random import Random

OPENINGS = (
    "", "", "", "Payment {n}: ", "Is this fraud? ", "A customer called: ", "Transaction: ", "New payment, ", "Please check: ",
    "Card payment: ", "Case {n}. ", "We saw this today: ", "Hello, ", "Log: ", "Here is one that looks odd: ", "Alert {n}: ",
    "The card was used: ", "A colleague asks: ", "Line {n} of the list: ", "One more: ", "Somebody complains: ", "Strange payment, ",
    "My desk is {n}. ", "We have this: ", "The customer ({n}) says: ", "It is like this: ", "so ", "From the support chat: ", "Details: ",
)  # fmt: skip
CLOSINGS = (
    "", "", "", ".", ". Is it fraud?", ". Thanks!", ". What do you think?", ". Agent {n}.", ". The customer is {n} years old.", "!",
    ". Nothing else is known.", ". Ticket {n}.", ", please check", ". Should we block the card?", ". That is all.", ". It worries me.", "?", ". Is this normal?", ". Call extension {n}.", ". Nothing more.",
)  # fmt: skip
SEPARATORS = (", ", ", ", "; ", ". ", "\n", " and ", " | ")

PHRASES: dict[str, tuple[str, ...]] = {
    "amount": (
        "spent {v} EUR", "{v} EUR were paid", "for {v} euros", "for {v} EUR", "EUR {v}", "a sum of {v} euros was spent", "bought goods worth {v} EUR", "the bill was {v} EUR", "an amount of {v} EUR", "charged {v} euros",
        "{v} EUR", "amount {v} EUR", "amount: {v}", "a payment of {v} euros", "{v} euro", "€{v}", "{v} € paid", "paid {v} EUR",
        "the amount was {v} EUR", "amount={v}", "sum of {v} EUR", "it cost {v} euros",
    ),
    "amount_vs_usual": (
        "which is {v} times the usual", "{v} times the usual", "{v} x usual", "{v} times more or less what the card usually pays", "compared with usual: {v} times", "amount to usual ratio: {v}", "usual x {v}", "{v} times the normal amount",
        "{v} times the usual amount", "{v}x the usual", "{v} times as much as usual", "amount vs usual {v}", "amount_vs_usual={v}",
        "that is {v} times the usual", "usual amount times {v}", "{v} times what is usual", "ratio to usual {v}",
    ),
    "hour": (
        "in the hour {v}", "it happened at {v} o'clock", "the clock said {v}:00", "the hour was {v}", "time {v}:00", "at hour {v}", "made at {v} h", "{v} h",
        "at {v} h", "hour {v}", "hour: {v}", "at {v}:00", "around {v} o'clock", "hour={v}", "at {v} o'clock", "time of day {v} h",
        "it was {v}:00", "in hour {v}",
    ),
    "distance_from_home_km": (
        "far from home, {v} km", "{v} km between shop and home", "home is {v} km away", "the distance was {v} km", "in a town {v} km from home", "{v} kilometres away", "at a shop {v} km away", "distance from home: {v} km",
        "{v} km from home", "{v} km away from home", "distance {v} km", "distance from home {v} km", "{v} kilometres from home",
        "distance_from_home_km={v}", "the shop is {v} km from home", "{v} kilometers away", "{v}km from home", "distance: {v} km",
    ),
    "minutes_since_last": (
        "{v} minutes since last", "only {v} minutes after the previous payment", "{v} min after the last one", "last payment {v} min ago", "time since the last payment {v} min", "it came {v} minutes after the previous one", "the one before was {v} minutes earlier", "since the last payment {v} minutes had passed",
        "{v} minutes after the last payment", "{v} min since the last payment", "last payment {v} minutes before",
        "minutes since last {v}", "minutes_since_last={v}", "{v} minutes since the previous one", "the previous payment was {v} min ago",
        "{v} min after the one before",
    ),
    "payments_last_hour": (
        "{v} payments during the last hour", "in the last hour there were {v} payments", "{v} payments in the hour before", "{v} in the last hour", "last hour: {v} payments", "the hour before saw {v} payments",
        "{v} payments in the last hour", "payments last hour {v}", "payments_last_hour={v}", "{v} other payments within the hour",
        "payments in the hour before: {v}", "the card paid {v} times in the last hour", "{v} payments in an hour",
    ),
    "declined_last_day": (
        "{v} were declined today", "{v} declined today", "in the last day {v} were declined", "declined in the last day: {v}", "{v} declined attempts in the day before", "the day before saw {v} declines",
        "{v} declined in the last day", "declined last day {v}", "declined_last_day={v}", "{v} declined attempts", "{v} declines today",
        "declined attempts in the day before: {v}", "{v} attempts were declined", "declined: {v}",
    ),
    "merchant_risk": (
        "risk score of {v}", "the risk score is {v}", "merchant with a risk of {v}", "merchant risk score {v}", "the merchant's risk is {v}", "risk={v}", "risk: {v}", "merchant scored {v}",
        "merchant risk {v}", "risk score {v}", "merchant_risk={v}", "risk of the merchant {v}", "a merchant with risk {v}",
        "the merchant scores {v} in risk", "merchant risk: {v}", "risk {v}",
    ),
    "card_present": (),
    "foreign": (),
    "account_age_days": (
        "the account exists for {v} days", "an account of {v} days", "account age: {v} days", "account {v} days", "the account was opened {v} days before", "age of account: {v}", "its account is {v} days old", "account age is {v} days",
        "account {v} days old", "account age {v} days", "account_age_days={v}", "the account is {v} days old", "account opened {v} days ago",
        "{v} days old account", "age of the account {v} days", "customer for {v} days",
    ),
}  # fmt: skip
FLAGS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "card_present": (
        ("online", "paid online", "card not present", "card_present=0", "an online payment", "on a web site", "without the card", "card present: no", "the card was not present", "no card was read", "made online", "bought online", "over the internet"),
        ("card present", "the card was read", "card_present=1", "in a shop with the card", "paid at the terminal", "card was inserted", "card present: yes", "with the card in the shop", "the card was there", "the card was present", "card read", "the card was used in person"),
    ),
    "foreign": (
        ("domestic", "in the home country", "foreign=0", "a domestic merchant", "not abroad", "foreign: no", "same country", "the merchant is domestic", "inside the country", "the shop is in the home country", "a local merchant"),
        ("abroad", "in another country", "foreign=1", "a foreign merchant", "merchant abroad", "foreign: yes", "a merchant in a foreign country", "the shop is abroad", "foreign merchant", "the merchant is foreign", "outside the country"),
    ),
}  # fmt: skip
"""Ways to say 0, and ways to say 1."""
NONE: dict[str, tuple[str, ...]] = {
    "payments_last_hour": ("no other payment in the last hour", "no payments in the last hour", "first payment within the hour"),
    "declined_last_day": ("none declined", "nothing was declined", "no declines today", "no declined attempts"),
}  # fmt: skip
"""Ways to say 0 without a digit."""
NAMES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "amount": (("amount", "amount", "sum", "price", "amount paid", "total"), (" EUR", " euros", " €", "")),
    "amount_vs_usual": (("ratio to usual", "amount vs usual", "ratio to the usual amount", "amount_vs_usual"), ("", " times", "x")),
    "hour": (("hour", "hour", "time of day", "clock time"), ("", " h", ":00", " o'clock")),
    "distance_from_home_km": (("distance from home", "distance", "way from home", "distance_from_home_km"), (" km", " kilometres", "km")),
    "minutes_since_last": (("time since the last payment", "minutes since last", "gap to the previous payment", "minutes_since_last"), (" min", " minutes")),
    "payments_last_hour": (("payments last hour", "payments in the last hour", "number of payments in the hour", "payments_last_hour"), ("",)),
    "declined_last_day": (("declined last day", "declined attempts", "number of declines", "declined_last_day"), ("",)),
    "merchant_risk": (("merchant risk", "risk score", "risk of the merchant", "merchant's risk", "merchant_risk"), ("",)),
    "account_age_days": (("account age", "age of the account", "account's age", "account_age_days"), (" days", " d")),
}  # fmt: skip
"""Names that go with any frame, and what may follow the figure."""
COUNT_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven")


def draw(rng: Random) -> tuple[str, dict[str, str]]:
    """A text, and the features that it gives, as JSON has them."""
    names = [feature.name for feature in FEATURES]
    said = rng.sample(names, rng.choice((1, 2, 3, 4, 4, 5, 5, 6, 7, 8, 11)))
    if chance(rng, 0.3):
        said.sort(key=names.index)
    figures: dict[str, str] = {}
    pieces = [_phrase(rng, name, figures) for name in said]
    return any_texts.text(rng, pieces, OPENINGS, CLOSINGS, SEPARATORS), figures


def _phrase(rng: Random, name: str, figures: dict[str, str]) -> str:
    value = prompts.number(feature_value(rng, next(feature for feature in FEATURES if feature.name == name)))
    figures[name] = value
    if name in FLAGS:
        return rng.choice(FLAGS[name][int(value)])
    if value == "0" and name in NONE and chance(rng, 0.6):
        return rng.choice(NONE[name])
    if chance(rng, 0.3):
        names, units = NAMES[name]
        return any_texts.say(rng, rng.choice(names), f"{printed(rng, name, value)}{rng.choice(units)}")
    return rng.choice(PHRASES[name]).format(v=printed(rng, name, value))


def printed(rng: Random, name: str, value: str) -> str:
    """The value as a person may write it: a small count in words, a large amount with a thousands separator."""
    if name in {"payments_last_hour", "declined_last_day"} and chance(rng, 0.2):
        return COUNT_WORDS[int(value)]
    if name in {"amount", "distance_from_home_km"} and chance(rng, 0.25):
        whole, point, decimals = value.partition(".")
        return f"{int(whole):,}{point}{decimals}"
    return value
