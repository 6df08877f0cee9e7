"""Free texts for the evaluation of extraction: whole templates that no training text is made of.

A slot is a feature (see `_IRIS_SLOTS`, or the fraud feature's own name); ``{n}`` is a number that is no feature.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from models.classifiers.fraud import FEATURES as FRAUD_FEATURES
from models.llm import prompts
from models.llm.training.explaining import feature_value
from models.llm.training.iris_texts import measure

if TYPE_CHECKING:
    from random import Random

_IRIS_SLOTS = {"sl": "sepal_length", "sw": "sepal_width", "pl": "petal_length", "pw": "petal_width"}

IRIS = (
    "The sepals of my iris are {sl} cm long and {sw} cm wide; its petals are {pl} cm long and {pw} cm wide.",
    "petals about {pl} by {pw} cm, sepals {sl} by {sw}",
    "Could you look at this flower? Sepal length {sl} cm, sepal width {sw} cm, petal length {pl} cm, petal width {pw} cm.",
    "Its petal is {pl} cm in length and {pw} cm in width, while the sepal is {sl} cm in length and {sw} cm in width.",
    "Sepal: {sl} x {sw} cm. Petal: {pl} x {pw} cm.",
    "I only have the petals: {pl} cm long, {pw} cm wide.",
    "Only the sepal could be measured, {sl} by {sw} cm.",
    "The petal width came out as {pw} cm and the petal length as {pl} cm. Sepals were eaten by a snail.",
    "My ruler says {pl} cm for the petal length; the sepal length is {sl} cm.",
    "sepal width = {sw} cm, petal width = {pw} cm, lengths unknown",
    "With petals {pw} cm wide and {pl} cm long and sepals {sw} cm wide and {sl} cm long, what could it be?",
    "Flower number {n}: petal length: {pl}, petal width: {pw}, sepal length: {sl}, sepal width: {sw}.",
    "length of the petal: {pl} cm\nwidth of the petal: {pw} cm\nlength of the sepal: {sl} cm\nwidth of the sepal: {sw} cm",
    "On a stem of {n} cm I see sepals of {sl} cm by {sw} cm, and petals of {pl} cm by {pw} cm.",
    "It is a wide sepal, {sw} cm, and a long one too, {sl} cm.",
    "petal_length {pl}, petal_width {pw}, sepal_length {sl}, sepal_width {sw}",
    "My daughter picked this: the petals measure {pl} cm x {pw} cm. I did not look at the sepals.",
    "Reading from the label: sepal {sl}/{sw} cm, petal {pl}/{pw} cm",
    "The length of its sepal is {sl} cm. The width of its sepal is {sw} cm. The petal was lost.",
    "A rather small iris whose petal width is {pw} cm, whose petal length is {pl} cm and whose sepal width is {sw} cm.",
    "{sl} cm is the sepal length, {sw} cm the sepal width, {pl} cm the petal length and {pw} cm the petal width.",
    "In millimetres: sepals {sl:mm} mm by {sw:mm} mm and petals {pl:mm} mm by {pw:mm} mm.",
    "Petal length {pl:mm} mm and petal width {pw:mm} mm, that is what I read off.",
    "The sepals are {sl:mm} mm long; their width is {sw:mm} mm.",
    "We have {n} plants. The first has sepals that are {sl} cm long, and petals that are {pl} cm long.",
    "sepal length about {sl} centimetres, petal length about {pl} centimetres, widths not taken",
    "The botanist notes a petal {pl} cm long and {pw} cm wide, next to a sepal {sl} cm long and {sw} cm wide.",
    "its pteals are {pl} cm long and {pw} cm wide, the seplas {sl} cm long and {sw} cm wide",
    "I did not measure anything today, there was rain.",
    "sepal lenght {sl} cm, sepal widht {sw} cm, petal lenght {pl} cm, petal widht {pw} cm",
)

FRAUD = (
    "Somebody paid {amount} EUR at {hour}:00 in a shop {distance_from_home_km} km from home.",
    "The customer spent {amount} euros, which is {amount_vs_usual} times the usual amount.",
    "Payment of {amount} EUR, {minutes_since_last} minutes after the last payment, {payments_last_hour} payments in the last hour.",
    "There were {declined_last_day} declined attempts in the last day, and now this one: {amount} EUR.",
    "The merchant has a risk score of {merchant_risk} and the account is {account_age_days} days old.",
    "hour {hour}, amount {amount} EUR, {amount_vs_usual} times the usual, merchant risk {merchant_risk}",
    "It happened at {hour} o'clock, {distance_from_home_km} km away from home, for {amount} EUR.",
    "An account {account_age_days} days old paid {amount} EUR; {declined_last_day} attempts were declined before.",
    "amount: {amount}\nhour: {hour}\ndistance: {distance_from_home_km} km\nmerchant risk: {merchant_risk}\naccount age: {account_age_days} days",
    "Odd one. {amount} EUR, {distance_from_home_km} km from home, {minutes_since_last} minutes since the previous payment, risk {merchant_risk}.",
    "{payments_last_hour} payments in the last hour, {declined_last_day} declined in the last day, {minutes_since_last} min since the last payment.",
    "The payment over {amount} EUR is {amount_vs_usual}x the usual and came {minutes_since_last} minutes after the last payment.",
    "Bought something for {amount} euros at {hour} h.",
    "The distance from home was {distance_from_home_km} km. The amount was {amount} EUR. The hour was {hour}.",
    "amount={amount} amount_vs_usual={amount_vs_usual} hour={hour} distance_from_home_km={distance_from_home_km}",
    "amount={amount}, hour={hour}, merchant_risk={merchant_risk}, account_age_days={account_age_days}",
    "Account opened {account_age_days} days ago, merchant risk {merchant_risk}, {amount} EUR at {hour}:00.",
    "My colleague (extension {n}) asks about {amount} EUR spent {distance_from_home_km} kilometres from home.",
    "{amount} EUR, paid {minutes_since_last} minutes after the one before, with {payments_last_hour} payments in the hour before.",
    "Ticket {n}: the card was used at {hour} o'clock for {amount} EUR, {amount_vs_usual} times as much as usual.",
    "Is this normal? Risk of the merchant {merchant_risk}, {declined_last_day} declines today, account age {account_age_days} days.",
    "A shop {distance_from_home_km} km from home, {amount} EUR, and the last payment {minutes_since_last} minutes before.",
    "paymnet of {amount} EUR at {hour} h, accuont {account_age_days} days old, merchnat risk {merchant_risk}",
    "Nothing is known about this payment except that it is number {n} of the list.",
    "The amount of {amount} EUR is what worries me.",
    "Time of day {hour} h, amount {amount} EUR, ratio to usual {amount_vs_usual}, account {account_age_days} days old, risk score {merchant_risk}.",
)

FLAG_ENDINGS: tuple[tuple[str, dict[str, str]], ...] = (
    ("", {}),
    ("", {}),
    (" It was an online payment.", {"card_present": "0"}),
    (" The card was present.", {"card_present": "1"}),
    (" The merchant is abroad.", {"foreign": "1"}),
    (" It was paid online, at a foreign merchant.", {"card_present": "0", "foreign": "1"}),
    (" A domestic merchant, and the card was read.", {"card_present": "1", "foreign": "0"}),
    (" The merchant is in another country and the card was not present.", {"card_present": "0", "foreign": "1"}),
)
"""What may follow a payment's text, and what it says."""


def iris_text(rng: Random, template: str) -> tuple[str, dict[str, str]]:
    """The template filled in, and the values in cm by feature."""
    figures: dict[str, str] = {}

    def fill(slot: re.Match[str]) -> str:
        if slot["name"] == "n":
            return str(rng.randrange(1, 60))
        printed, figures[_IRIS_SLOTS[slot["name"]]] = measure(rng, "mm" if slot["unit"] else "cm")
        return printed

    return _SLOT.sub(fill, template), figures


def fraud_text(rng: Random, template: str) -> tuple[str, dict[str, str]]:
    """The template filled in, perhaps with a sentence on the card and the merchant, and the values by feature."""
    figures: dict[str, str] = {}
    features = {feature.name: feature for feature in FRAUD_FEATURES}

    def fill(slot: re.Match[str]) -> str:
        if slot["name"] == "n":
            return str(rng.randrange(18, 99))
        figures[slot["name"]] = prompts.number(feature_value(rng, features[slot["name"]]))
        return figures[slot["name"]]

    text = _SLOT.sub(fill, template)
    ending, flags = rng.choice(FLAG_ENDINGS)
    return text + ending, figures | flags


_SLOT = re.compile(r"\{(?P<name>\w+)(?P<unit>:mm)?\}")
