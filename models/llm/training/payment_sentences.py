"""What whole sentences about a card payment are made of: a subject, and what is said of it, as patterns of `phrasing.expand`."""

from __future__ import annotations

SUBJECTS = (
    "((the|this|that|a|our|one|his|her|their|last night's|yesterday's|the latest|a recent|some)) ((payment|purchase|transaction|charge|order|buy|booking))((| {over} {money}))",
    "((it|this one|that|what we see|the one in question))", "((the customer|the card|a client|he|she|somebody))'s ((payment|purchase|order|charge))((| {over} {money}))",
    "{money}", "((a|the)) ((sum|bill|total|amount)) {over} {money}",
)  # fmt: skip
"""What a sentence about a payment is about, with the amount or without."""
OVER = "((of|over|for|worth|amounting to|,))"
PREDICATES: dict[str, tuple[str, ...]] = {
    "amount": ("((was|is|came to|comes to|amounts to|ran to|cost|made|totals|stood at|took)) {money}",),
    "amount_vs_usual": (
        "((is|was|makes|comes to|equals|reaches)) ((about|roughly|some|)) {v} ((times|x|-fold)) ((the|their|its)) ((usual|normal|average|typical)) ((amount|sum|one|))",
        "((is|was)) {v} times ((as large|as big|as high|as much)) as ((usual|normal|always|the average one))",
    ),
    "hour": (
        "((was|is|got|had been)) ((made|done|booked|placed|seen|logged|sent|authorised)) at {v} ((h|o'clock|:00|hours))",
        "((came|happened|went through|took place|occurred|arrived)) ((at|around|in the hour|during hour)) {v}((|:00| h| o'clock))",
    ),
    "distance_from_home_km": (
        "((was made|was done|took place|happened|is|was|went through|occurred)) {v} ((km|kilometres)) ((from|away from|off)) ((home|the home address|where they live|the house))",
        "((came|comes|was)) from ((a shop|a place|a terminal|somewhere|a store)) {v} ((km|kilometres)) ((away|from home|off|from the house))",
    ),
    "minutes_since_last": (
        "((came|comes|followed|happened|was made|arrived|is)) {v} ((min|minutes)) ((after|behind|later than|from)) the ((last|previous|preceding|prior)) ((one|payment|purchase|charge|))",
        "((follows|followed)) the ((last|previous|prior)) ((one|payment|purchase)) ((after|by|within|with a gap of)) {v} ((min|minutes))",
    ),
    "payments_last_hour": (
        "((follows|followed|comes after|came after|was preceded by)) {v} ((others|payments|other payments|more|purchases)) ((in|within|during)) ((the last|the same|the past|an|one)) hour",
        "((had|has|saw)) {v} ((payments|others|other payments|purchases)) ((before it|ahead of it|next to it|)) ((in|within|during)) ((the last|the past|an|one)) hour",
    ),
    "declined_last_day": (
        "((follows|followed|comes after|came after|was preceded by)) {v} ((declined|refused|rejected|failed)) ((attempts|ones|payments|tries)) ((in the last day|within a day|over the past day|that day|))",
        "((had|has|saw)) {v} ((declines|declined attempts|refusals|rejections)) ((before it|ahead of it|)) ((in the last day|within a day|over the past day|that day))",
    ),
    "merchant_risk": (
        "((went|goes|was paid|was made)) to a ((merchant|shop|seller|store|vendor)) ((with|of|at|that has)) ((a|)) ((risk|risk score|risk level|risk of)) ((of|at|)) {v}",
        "((has|had|carries|comes with|was given|shows)) a ((merchant risk|risk score|seller's risk|risk)) ((of|at|near|)) {v}",
    ),
    "account_age_days": (
        "((comes|came|was made|is|was)) ((from|with|by|on)) an account ((that is|of|which is|aged|being|)) {v} days((| old))",
        "((was made|came|happened|took place)) {v} days after ((the|their|its)) account was ((opened|set up|created))",
    ),
}  # fmt: skip
"""What is said of it; flags are in `FLAG_PREDICATES`."""
FLAG_PREDICATES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "card_present": (
        ("((was|is|got)) ((paid|made|done|placed|ordered)) ((online|over the internet|on a website|in an app|remotely|without the card|by phone))", "((came|comes)) ((from a web shop|without the card|with no card in sight|from an app))"),
        ("((was|is|got)) ((paid|made|done)) ((in person|with the card there|at a till|at a terminal|with the card in hand|at the counter))", "((came|comes)) ((from a terminal|with the card present|from a card reader))"),
    ),
    "foreign": (
        ("((was|is|got)) ((paid|made|done)) ((at home|in the home country|to a local shop|to a domestic seller|inside the country))", "((went|goes|came)) ((to|from)) a ((domestic|local|national)) ((merchant|shop|seller|store))"),
        ("((was|is|got)) ((paid|made|done)) ((abroad|in another country|overseas|to a shop abroad|to a foreign seller|outside the country))", "((went|goes|came)) ((to|from)) a ((foreign|overseas)) ((merchant|shop|seller|store|country))"),
    ),
}  # fmt: skip
CHAINS = (
    " and ",
    " and ",
    ", ",
    ", ",
    ", and ",
    ", it ",
    ", which ",
    ". It ",
    ". It also ",
    ". The payment ",
    ", also it ",
    "; it ",
    " but ",
    ", then it ",
)
"""What joins two things that are said of one subject."""
