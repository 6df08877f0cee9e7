"""Ways to say what is known of an iris flower: phrases, patterns of `phrasing.expand`, and what goes around them."""

from __future__ import annotations

OPENINGS = (
    "", "", "", "I found an iris with ", "Measurements: ", "Hello, my flower has ", "An iris: ", "Iris no. {n}: ", "We measured ",
    "We got {n} of these. ", "One of {n} in the vase: ", "There are {n} in the bed, this is one: ", "Out of {n} seeds came this: ", "After {n} days it has ", "Number {n} of {n}: ", "The flower in the garden: ", "Please classify this one. ", "Sample {n}: ", "From my notebook, page {n}: ", "Hi! ",
    "This plant has ", "A bloom with ", "Data of today: ", "Field notes: ", "Plant {n} has ", "What is this? ", "The specimen shows ",
    "Seen near the lake: ", "It has ", "There are {n} flowers on it, one has ", "I measured it twice. ",
)  # fmt: skip
CLOSINGS = (
    "", "", "", ".", ". Which species is it?", ". Thanks!", ", I think.", ". The stem is {n} cm high.", ". It has {n} leaves.",
    ". Measured on day {n}.", ". What is it?", " (sample {n})", ". Blue, with {n} buds.", ". That is all I know.", ", roughly", "!",
    ". Can you tell the species?", ". It grew {n} m from the house.", ". There was no more time.", ". The rest is unknown.", ". That is what I read off.", "?",
    ". A snail ate the rest.", ", what could it be?", ". It rained.", ". What would you say?", "; nothing else was taken.",
)  # fmt: skip
SEPARATORS = (", ", "; ", " and ", ". ", "\n", ", and ", " / ", ", ")

CENTIMETRES = (" cm", " cm", " cm", "cm", "", "", " centimetres", " centimeters")
UNITS = (*CENTIMETRES, " mm", "mm")

SINGLES = (
    "{part} {side} {v}{u}",
    "{part} {side}: {v}{u}",
    "{part} {side} = {v}{u}",
    "{part} {side} is {v}{u}",
    "{part} {side} of {v}{u}",
    "a {part} {side} of {v}{u}",
    "{side} of the {part} {v}{u}",
    "the {part} {side} is about {v}{u}",
    "{v}{u} {part} {side}",
    "{v}{u} for the {part} {side}",
    "{part}s {v}{u} {wise}",
    "{part}s are {v}{u} {wise}",
    "the {part} is {v}{u} {wise}",
    "{v}{u} {wise} {part}s",
    "{part}_{side}={v}{u}",
    "{part}_{side}: {v}{u}",
    "{side} ({part}) {v}{u}",
    "{part}-{side} {v}{u}",
    "its {part} {side} is {v}{u}",
    "{part} {side} comes to {v}{u}",
    "{v}{u} in {part} {side}",
    "I get {v}{u} for the {side} of the {part}",
    "the {side} of each {part} is {v}{u}",
    "{part} {side} measured: {v}{u}",
    "{side} of {part}s: {v}{u}",
    "a {part} that is {v}{u} {wise}",
    "one {part} was {v}{u} {wise}",
    "{part} {v}{u} {wise}",
    "{part} {side} - {v}{u}",
    "as for the {part}, its {side} is {v}{u}",
    "{v}{u} is the {side} of the {part}",
    "the {part}'s {side} was {v}{u}",
)
PAIRS = (
    "{part}s {l} by {w}{u}",
    "{part}s about {l} by {w}{u}",
    "{part} {l} x {w}{u}",
    "{part} {l}{u} x {w}{u}",
    "{l} x {w}{u} for the {part}",
    "{l} by {w}{u} ({part})",
    "{part}s are {l}{u} long and {w}{u} wide",
    "{part}s are {w}{u} wide and {l}{u} long",
    "the {part} measures {l} by {w}{u}",
    "{part}: {l}{u} long, {w}{u} wide",
    "{part}: {w}{u} wide, {l}{u} long",
    "{part} length {l}{u}, width {w}{u}",
    "{part} width {w}{u}, length {l}{u}",
    "{part} length and width {l} and {w}{u}",
    "{part} width and length {w} and {l}{u}",
    "{l}{u} long and {w}{u} wide {part}s",
    "{part}s of {l} by {w}{u}",
    "{part}s {l}/{w}{u}",
    "{part}s measuring {l}{u} in length and {w}{u} in width",
    "a {part} of {l}{u} by {w}{u}",
    "the {part}s: {l} x {w}{u}",
    "a {l} by {w}{u} {part}",
    "{part} size {l} x {w}{u}",
    "{l}{u} is how long the {part} is, {w}{u} how wide",
    "the length and the width of the {part} are {l}{u} and {w}{u}",
    "for the {part} I have {l}{u} in length, {w}{u} in width",
    "the {part}s have a length of {l}{u} and a width of {w}{u}",
    "the {part}s have a width of {w}{u} and a length of {l}{u}",
    "each {part} is {l}{u} long; each is {w}{u} wide",
    "{part} ({l} by {w}{u})",
    "{part} l {l}{u} w {w}{u}",
    "long {part}s of {l}{u}, {w}{u} in width",
    "{part}: length={l}{u} width={w}{u}",
    "the {part} was {w}{u} in width and {l}{u} in length",
    "the {part} is {l}{u} long, its width is {w}{u}",
    "the {part} is {w}{u} wide, its length is {l}{u}",
)
ABSENT = (
    "{part} {side} unknown",
    "{part} {side} not measured",
    "no {part} {side}",
    "the {part} {side} is missing",
    "{part} {side}: ?",
    "could not measure the {part} {side}",
    "{part} {side} n/a",
    "I have no {part}s to measure",
    "I did not look at the {part} {side}",
    "the {part}s are gone",
    "nothing on the {part} {side}",
    "{part} {side} null",
)
SIDES = {
    "length": {
        "side": "length",
        "noun": "((length|length|length|len|lengths|long side))",
        "adj": "((long|long|tall|lengthy))",
        "wise": "((long|long|long|in length|in length|lengthwise|from base to tip|end to end|lengthways))",
    },
    "width": {
        "side": "width",
        "noun": "((width|width|width|breadth|widths|short side))",
        "adj": "((wide|wide|broad))",
        "wise": "((wide|wide|wide|in width|in width|across|broad|from edge to edge|sideways))",
    },
}
"""Words for either side of a part."""
IS = "((is|is|was|are|were|measures|measured|comes to|came to|came out at|runs to|reads|=|:|,||gives|has|at|stands at|reaches|amounts to|turned out|is about|is around|is roughly|is just|is exactly))"
THE = "((the|the|its|a|one|each|this|that|my|our||))"
SINGLE_PATTERNS = (
    "((a|the|its|one|)) {adj} {part}((,|:| of| at| with|)) ((about|just|)) {v}{u}",
    "((the|its|this|a)) {part} ((is|was|looks|seems)) ((quite|rather|very|so|)) {adj}((,|:| at| with)) {v}{u}",
    "((how|so)) {adj} ((is|was)) the {part}? {v}{u}",
    "~{part} {noun} " + IS + " ~{v}{u} ~",
    THE + " {part} " + IS + " ~{v}{u} {wise}",
    THE + " {noun} of " + THE + " {part} " + IS + " {v}{u}",
    THE + " {part} ((has|had|shows|with|of|got|of)) ((a|the|its)) {noun} ((of|of|at|:|near|about)) {v}{u}",
    "~{v}{u} ((is|was|for|in|as|goes to|belongs to|=|on|gives)) " + THE + " {part} {noun} ~",
    "~{v}{u} ((is|was|for|as|=)) " + THE + " {noun} of " + THE + " {part}",
    "~{v}{u} ~{part} {noun}",
    "{v}{u} {wise} ((is|was|for|goes)) " + THE + " {part}",
    "((I|we|they|she|he|somebody)) ((measured|read|found|got|wrote|noted|counted|see|estimate|put)) {v}{u} ((for|as|on|in|at)) "
    + THE
    + " {part} {noun}",
    "((I|we|they|she|he|somebody)) ((measured|read|found|got|wrote|noted|see|estimate|put)) ((a|the)) {part} {noun} ((of|at|as|near)) {v}{u}",
    "how {wise} " + THE + " {part} is: {v}{u}",
    "{noun}, {part}: {v}{u}",
    "{noun} {part} {v}{u}",
    "{part} ({noun}) ((:|=|-||is)) {v}{u}",
    "{part}, {noun} {v}{u}",
    "{part}s ~{wise} {v}{u}",
    "((about|only|some|nearly|just|exactly|a full|barely)) {v}{u} ((of|in|for)) {part} {noun}",
)
PAIR_PATTERNS = (
    "((the|its|)) {part} ((could be measured|was measured|is there|can be read|was whole|is all I have|was taken|is intact)): {l}((|{u})) ((x|by|and)) {w}{u}",
    "((just|at least|the)) {part} ((alone|at least|itself|only))((,|:| is| was|)) {l}((|{u})) ((x|by|times)) {w}{u}",
    "{part} ((is|was)) {adj1} ((at|with|,)) {x}{u} and {adj2} ((at|with|,)) {y}{u}",
    "{x}{u} ((is|was|=|for|as)) ((the|its|)) {part} {first_noun}((,| and|;)) {y}{u} ((is|was|=|for|as|)) ((the|its|)) ((|{part} )){second_noun}",
    "{first_noun} of the {part} {x}{u}((,| and|;)) {second_noun} ((of the {part} |of it |))((is|was|:|=|)) {y}{u}",
    "{part}s ((that|which)) are {first} and {second}",
    "((the|its|these|our)) {part}s ((here|there|on it|it has|of this one|I saw|))((,|)) ((are|were|being|measure|measured)) {first} and {second}",
    "((it|the plant|this one|the bloom|she)) ((has|had|carries|bears|shows|grows)) {part}s ((of|with|that are|being|measuring|)) {first} and {second}",
    "((with|having|and|plus|showing)) {part}s {first} and {second}",
    "~{part} {first} and ~{second}",
    THE + " {part} " + IS + " {first} ((and|,|, and|by|but|while|yet|&|and also|, then)) {second}",
    THE + " {part} ((has|had|shows|with|got|of)) {first_of} ((and|,|, and|with|plus|&)) {second_of}",
    "{part} ((:|-|=|,||->|has)) {first_of} ((,|and|/|;||and then)) {second_of}",
    "{part} {first_noun} " + IS + " {x}{u} ((and|,|;|, and|, with|while)) ((its|the|)) {second_noun} " + IS + " {y}{u}",
    "{first} ((and|,|by|but)) {second} ((for|is|was|goes for|in)) " + THE + " {part}",
    "{x}{u} ((for the|as|is the|in|of|=)) {part} {first_noun} ((and|,|, and|,then)) {y}{u} ((for the|as|is the|in|of|=)) ((|{part} )){second_noun}",
    "{first_noun} and {second_noun} of "
    + THE
    + " {part} "
    + IS
    + " {x}((|{u})) and {y}{u} ((|respectively|in that order))",
    "{part} ({first_noun}, {second_noun}) ((=|:||is|of)) {x}, {y}{u}",
    "{part} ((dimensions|size|sizes|measures|values|numbers|data)) ((:|are|were|=|of||come to)) {l}((|{u})) ((x|by|times|*|/|and|,)) {w}{u}",
    THE + " {part} " + IS + " {l}((|{u})) ((x|by|times|*)) {w}{u} ~",
    "~{l}((|{u})) ((x|by|times|*)) {w}{u} ((is|was|for|as|goes to|on|in)) " + THE + " {part}",
    "((I|we|they|she|he|somebody)) ((measured|read|found|got|noted|see|estimate)) ((a|the|its|one)) {part} ((of|at|to be|with)) {l} ((x|by|and)) {w}{u}",
    "{first} {part}, {second}",
    "{part}s, ((each|all|both))? {first}, {second}",
)
"""How one part's figures are given together; first and second are its sides in either order."""
ABSENT_PATTERNS = (
    THE
    + " {part} {noun} ((is|was)) ((unknown|missing|lost|not known|not given|not there|not measured|not recorded|left out|unclear|blank))",
    "((no|without|missing|lacking|unknown:)) ((|the |any )){part} {noun}",
    "((I|we|they|nobody|he)) ((could not|did not|cannot|can not|forgot to)) ((measure|read|see|get|take|note)) "
    + THE
    + " {part} {noun}",
    "nobody ((measured|read|took|noted|knows)) " + THE + " {part} {noun}",
    "{part} {noun} ((:|=|-|)) ((?|none|unknown|-|n/a|null|missing|empty|blank))",
)
ACROSS = (
    THE + " {noun} of ((the|)) {a} and ((the|)) {b} " + IS + " {x}((|{u})) and {y}{u} ((||respectively))",
    "{a} and {b} {noun} " + IS + " {x}((|{u})) and {y}{u} ((||in that order))",
    "{noun}: {x}{u} ({a}), {y}{u} ({b})",
    "{noun}: {a} {x}{u}((, | and | / )){b} {y}{u}",
    THE + " {a} " + IS + " {x}{u} {wise}((, |; | and | while ))((the|its|that)) {b} {y}{u}",
    "{x}((|{u})) and {y}{u} ((are|for|is|=)) ((the|)) {noun} of ((the|)) {a} and ((the|)) {b}",
    "{a} {noun} {x}{u}((, | and |; ))((that of|the same of|for)) the {b} {y}{u}",
)
"""How one side of both parts is given together."""
TABLES = (
    "{names}\n{values}",
    "{names}: {values}",
    "{values} ({names})",
    "{names} = {values}",
    "{values} for {names}",
    "{names} -> {values}",
    "{names} ((are|were|read|measure|come to|in that order)) {values}",
    "{values}((, |; | - ))((these are |which is |in the order |as |that is )){names}",
)
"""How figures come in a row beside a row of their names."""
WISE = {"length": "long", "width": "wide"}
NAMES = (
    "{part} {side}",
    "{part} {side}",
    "{side} of the {part}",
    "{part}'s {side}",
    "{part}_{side}",
    "{part}-{side}",
    "{side} of its {part}s",
)
