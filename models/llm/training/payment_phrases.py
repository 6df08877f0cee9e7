"""Ways to say what is known of a card payment: phrases, patterns of `phrasing.expand`, and what goes around them."""

from __future__ import annotations

OPENINGS = (
    "This one is new: ", "Another one: ", "That one again: ", "One thing: ", "One of those: ", "The one in question: ", "A friend (flat {n}) wonders about ", "Our man at desk {n} wonders about ",
    "A clerk (desk {n}) has this: ", "Mr Smith, room {n}, reports ", "We have {n} such cases. One: ", "There were {n} calls today. ", "Bank {n}, branch {n}: ",
    "", "", "", "Payment {n}: ", "Is this fraud? ", "A customer called: ", "Transaction: ", "New payment, ", "Please check: ",
    "Card payment: ", "Case {n}. ", "We saw this today: ", "Hello, ", "Log: ", "Here is one that looks odd: ", "Alert {n}: ",
    "The card was used: ", "A colleague asks: ", "Line {n} of the list: ", "One more: ", "Somebody complains: ", "Strange payment, ",
    "My desk is {n}. ", "We have this: ", "The customer ({n}) says: ", "It is like this: ", "so ", "From the support chat: ", "Details: ",
)  # fmt: skip
CLOSINGS = (
    "", "", "", ".", ". Is it fraud?", ". Thanks!", ". What do you think?", ". Agent {n}.", ". The customer is {n} years old.", "!",
    ". Nothing else is known.", ". Ticket {n}.", ", please check", ". Should we block the card?", ". That is all.", ". It worries me.", "?", ". Is this normal?", ". Call extension {n}.", ". Nothing more.",
)  # fmt: skip
SEPARATORS = (", ", ", ", ", ", "; ", ". ", ". ", "\n", " and ", " | ", " ", " ", " ", " / ", " - ", ", and ")

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
PATTERNS: dict[str, tuple[str, ...]] = {
    "amount": (
        "((purchase|order|charge|booking|buy)) ((of|over|for|worth|:)) {money}", "((payment|payments)) ((over|worth|:|in the amount of)) {money}",
        "((somebody|they|she|he|a person|the customer|our client|the cardholder|a buyer||)) ((paid|spent|bought for|transferred|was charged|was billed|moved|gave|sent|put down|was debited|handed over)) ((about|exactly|||)) {money}",
        "((a|the|this|one)) ((payment|purchase|transaction|charge|order|bill|sum|amount|total|sale|booking|invoice|debit)) ((of|for|over|worth|at|came to|comes to|was|is|:|amounting to|to the tune of)) {money}",
        "{money} ((was|were|have been|got|had been)) ((paid|spent|charged|debited|taken|billed|transferred|withdrawn))",
        "{money} ((in total|in all|altogether|went out|left the account|changed hands|on the card|to pay|for the order|for goods|for a ticket|for shoes|of goods))",
        "((worth|value|cost|price|total|sum|amount|charge|bill)) ((:|=|is|was|of|->|)) {money}",
        "((goods|something|an order|things|a ticket|a phone|shoes|clothes|food)) ((for|worth|costing|at)) {money}",
    ),
    "amount_vs_usual": (
        "((that is|which is|this is|it is|being|about|roughly|some|now|i.e.|)) {v} ((times|x|-fold|fold)) ((the|its|their|his|her)) ((usual|normal|typical|average|ordinary|customary)) ((amount|sum|payment|bill|spend|value|))",
        "{v} times ((as much|as large|as high|as big|more or less)) ((as usual|as normal|as always|as typical|as is usual|as on average))",
        "((ratio|factor|multiple)) ((to|of|against|over|compared with|relative to)) ((the|its|)) ((usual|normal|typical|average)) ((amount|one|sum|)) ((is|of|:|=|was|)) {v}",
        "((compared to|against|relative to|measured by|next to)) the ((usual|normal|typical|average)) ((amount|payment|sum)) ((it is|that makes|that is|a factor of|:)) {v}((| times))",
    ),
    "hour": (
        "((at|around|about|shortly after|just past|on|near)) {v} ((o'clock|h|hours|:00))",
        "((the|its|)) ((time|clock|hour|hour of day|time of day|timestamp|time stamp)) ((is|was|of|:|=|said|reads|shows|->|)) {v}((|:00| h| o'clock))",
        "((it|this|that|the payment|all this)) ((happened|was made|took place|went through|occurred|came in|was booked|was)) ((at|around|in the hour|during hour|near)) {v}((|:00| h| o'clock))",
        "((booked|made|done|seen|logged|timed|paid|recorded)) at {v}((:00| h| o'clock| hours))",
        "((during|in|within)) ((the|)) hour {v}",
        "((spent|paid|used|made|charged|booked|seen|done|gone|moved)) ((at|around|in hour)) {v}((|:00| h| o'clock))",
    ),
    "distance_from_home_km": (
        "{v} ((km|kilometres|kilometers|km or so)) ((from|away from|off|out from|outside|distant from)) ((home|the home|his home|her home|the home address|where they live|the house))",
        "((spent|paid|used|made|charged|booked|seen|done|gone|moved)) {v} ((km|kilometres|kilometers)) ((from|away from|off)) ((home|the house|where they live))",
        "((home|the house|their home|the cardholder's home|the address)) ((is|was|lies|being)) {v} ((km|kilometres)) ((away|off|from there|from the shop|distant))",
        "((distance|distance to home|distance home|way home|trip from home|way from home|gap to home)) ((:|=|is|was|of|->|about|)) {v}((| km|km| kilometres))",
        "((the|a|this)) ((shop|merchant|store|terminal|seller|place|site)) ((is|was|lies|sits)) {v} ((km|kilometres)) ((away|from home|off|from the house|from where they live))",
        "{v} ((km|kilometres|kilometers)) ((between|from)) ((home|the house)) ((and|to)) the ((shop|store|merchant|seller))",
        "((as far as|a full|only|just|about|some)) {v} ((km|kilometres)) from home",
    ),
    "minutes_since_last": (
        "{v} ((min|minutes|mins)) ((after|since|from|past|behind)) ((the|their|its|his)) ((last|previous|prior|preceding|latest|earlier)) ((payment|one|purchase|transaction|use|charge|buy|))",
        "((spent|paid|used|made|charged|booked|seen|done|gone|moved)) {v} ((min|minutes)) ((after|since)) the ((last|previous|prior)) ((one|payment|purchase))",
        "((last|previous|prior|preceding)) ((payment|one|purchase|transaction|use|charge)) ((was|came|happened|:|=|took place|)) {v} ((min|minutes)) ((ago|before|earlier|back|prior))",
        "((time|gap|minutes|wait|pause|interval)) ((since|from|after|to)) ((the|)) ((last|previous|prior)) ((payment|one|purchase|transaction|use)) ((is|was|:|=|of|)) {v}((| min| minutes))",
        "((with|after)) ((a|)) ((gap|pause|wait|break)) of {v} ((min|minutes)) ((since|after|to|from)) the ((last|previous)) ((payment|one|purchase))",
        "{v} ((min|minutes)) ((had passed|passed|went by|have gone by|lie)) since the ((last|previous|one before|other)) ((payment|purchase|one))",
    ),
    "payments_last_hour": (
        "{v} ((other |more |further |earlier |))((payments|purchases|transactions|charges)) ((in|within|during|over|inside)) ((the last|the past|the previous|the hour before|one|the same|that|an)) hour",
        "((in|within|during|over)) ((the last|the past|the previous|one|an|that)) hour ((there were|we saw|it made|came|they made|one counts|it saw|the card made|the card had|:|)) {v} ((payments|purchases|transactions|of them|charges))",
        "((payments|purchases|transactions|number of payments|count of payments|uses)) ((in|within|during|over)) the ((last|past|previous)) hour ((:|=|are|were|is|->|)) {v}",
        "((the card|it|this card|the customer|he|she)) ((was used|paid|bought things|made a payment)) {v} times ((in|within|during)) ((the last|the past|the previous|an|one)) hour",
    ),
    "declined_last_day": (
        "{v} ((declined|refused|rejected|failed|denied|turned down|unsuccessful)) ((attempts|payments|tries|transactions|requests|charges|purchases)) ((in|within|during|over|)) ((the last|the past|the previous|the same|one)) day",
        "{v} ((attempts|payments|tries|transactions|requests|charges)) ((were|was|had been|got|have been)) ((declined|refused|rejected|denied|turned down)) ((in the last day|today|the day before|within a day|over the past day|in a day|since yesterday|))",
        "((there were|we saw|we count|it had|it has|with|after|saw|had)) {v} ((declines|declined attempts|declined payments|refusals|rejections|declined tries)) ((in the last day|today|the day before|within a day|over the past day|in the day before|))",
        "((declines|declined|declined attempts|declined payments|refusals|rejected attempts)) ((in the last day|today|in a day|over the past day|the day before|)) ((:|=|are|were|->|is|number|)) {v}",
        "((the bank|the issuer|the system|somebody)) ((declined|refused|rejected|turned down)) {v} ((attempts|payments|tries|of them)) ((in the last day|today|the day before|over the past day|))",
        "((in|within|during|over)) ((the last|the past|the previous|one)) day ((there were|we saw|it had|came|:|)) {v} ((declines|declined attempts|refusals|rejections|declined|were declined))",
    ),
    "merchant_risk": (
        "((the|a|its|this)) ((merchant|shop|seller|store|vendor)) ((has|with|had|carries|shows|comes with|got|bears)) ((a|the)) ((risk|risk score|risk level|risk value|risk rating)) ((of|at|:|near|=|)) {v}",
        "((risk|risk score|risk level|risk rating|merchant risk|risk value|seller risk|shop risk|vendor risk)) ((is|was|of|at|:|=|->|stands at|came out at|about|)) {v}",
        "((the|our)) ((risk|risk score|risk level)) ((of|for)) ((the|this|that)) ((merchant|shop|seller|store|vendor)) ((is|was|:|=|stands at|comes to)) {v}",
        "{v} ((is|as|for|was|=)) ((the|its)) ((merchant's|shop's|seller's|vendor's|)) ((risk|risk score|risk rating))",
        "((the|this)) ((merchant|shop|seller|vendor)) ((is|was)) ((rated|scored|put|ranked)) ((at|as|)) {v} ((in|for|on)) risk",
    ),
    "account_age_days": (
        "((the|its|their|this|an)) account ((is|was|exists for|has existed for|has been open for|has been there for|runs for|being)) {v} days((| old))",
        "((account|account age|age of account|age of the account|age)) ((:|=|is|was|of|->|)) {v} days",
        "((the|their|an)) account ((was|)) ((opened|created|set up|made|started|registered)) {v} days ((ago|before|earlier|back|prior))",
        "((a|the)) ((customer|client|member|account holder)) ((for|since|of)) {v} days",
        "{v} days ((after|since)) ((the|their|its)) account ((was|)) ((opened|created|set up|made|registered))",
        "((a|an|the)) {v} ((days old|day old|days-old|day)) account",
    ),
}  # fmt: skip
"""The same in patterns of `phrasing.expand`; `{money}` is the value with the currency before or after it."""
MONEY = ("{v} EUR", "{v} EUR", "EUR {v}", "€{v}", "{v} €", "{v} euros", "{v} euro", "{v}€", "€ {v}")
FLAG_PATTERNS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "card_present": (
        (
            "((paid|bought|ordered|done|made|booked|placed|a payment|a purchase|an order|all)) ((online|on the internet|on the web|over the web|on a website|in an app|in a web shop|by internet|over the phone))",
            "((the|their|her|his)) ((card was absent|card was not there|card was not present|card was not used in person|card was not read|card number was typed in|card itself was not shown))",
            "((without|lacking)) ((the|a)) ((card|physical card|plastic|card itself)) ((at hand|present|there|))",
            "((card|card present|present)) ((:|=|is|->|)) ((no|0|false|absent))",
            "((an|this is an|it was an)) ((online|internet|web|e-commerce|remote)) ((payment|purchase|order|sale|transaction))",
        ),
        (
            "((the|their|her|his)) card was ((there|present|read|inserted|swiped|tapped|in the reader|put in|used in person|at hand))",
            "((with|having)) ((the|a)) ((card|physical card|card itself|chip)) ((at hand|present|there|in the reader|in person|in the terminal))",
            "((card|card present|present)) ((:|=|is|->|)) ((yes|1|true|present))",
            "((paid|bought|done|made)) ((in person|at the counter|at the till|at the terminal|in the store|with chip and PIN|at the cash desk|face to face))",
            "((an|this is an|it was an)) ((in-store|in person|over the counter)) ((payment|purchase|sale|transaction))",
        ),
    ),
    "foreign": (
        (
            "((the|a|this|our)) ((merchant|shop|seller|store|vendor)) ((is|was|sits|being)) ((domestic|local|in the home country|in the same country|at home|inside the country|from here|not foreign|not abroad))",
            "((at|with|from|in)) ((a|the)) ((domestic|local|national|home country)) ((merchant|shop|seller|store|vendor))",
            "((foreign|abroad|foreign merchant)) ((:|=|is|->|)) ((no|0|false))",
            "((paid|bought|used|spent|made)) ((in the home country|at home|inside the country|within the country|domestically|in the own country))",
        ),
        (
            "((the|a|this|our)) ((merchant|shop|seller|store|vendor)) ((is|was|sits|being)) ((foreign|abroad|in another country|in a different country|outside the country|from another country|overseas))",
            "((at|with|from|in)) a ((foreign|overseas|non-domestic)) ((merchant|shop|seller|store|vendor|country))",
            "((foreign|abroad|foreign merchant)) ((:|=|is|->|)) ((yes|1|true))",
            "((paid|bought|used|spent|made)) ((abroad|in another country|overseas|outside the country|across the border|in a foreign country))",
        ),
    ),
}  # fmt: skip
NONE: dict[str, tuple[str, ...]] = {
    "payments_last_hour": (
        "no other payment in the last hour", "no payments in the last hour", "first payment within the hour",
        "((no|not one|not a single)) ((other |earlier |further |))((payment|purchase|transaction)) ((in|within|during)) ((the last|the past|the previous|that)) hour",
        "((nothing|none)) ((else |more |))((in|within|during)) ((the last|the past|the previous)) hour",
        "the ((first|only)) ((payment|one|purchase)) ((in|within|of)) ((the|an|that)) hour",
    ),
    "declined_last_day": (
        "none declined", "nothing was declined", "no declines today", "no declined attempts",
        "((no|not one|not a single)) ((declined|refused|rejected|failed)) ((attempt|payment|try|transaction)) ((in the last day|today|over the past day|in the day before|))",
        "((none|nothing|not one)) ((was|has been|had been|got)) ((declined|refused|rejected)) ((in the last day|today|over the past day|in the day before|))",
    ),
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
TOGETHER = (
    "{a}, and then that one: {b}",
    "{a}; the one in question: {b}",
    "{a}, then one more: {b}",
    "{a}, and this one came: {b}",
    "{a}, and here is the one: {b}",
    "{a} ((at|and|,|, at|,|in|on|with|but|, all|;)) {b}",
    "{a}, {b}",
    "{a} {b}",
    "{a} ({b})",
    "{a} - {b}",
    "{a} and also {b}",
    "{a} while {b}",
    "{b}, and {a}",
    "after {a}, {b}",
    "{a}, then {b}",
    "{a}, now {b}",
    "{a} plus {b}",
    "{a}, ~{b}",
    "not only {a} but {b}",
)
"""How two things are said in one breath."""
COUNT_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven")
