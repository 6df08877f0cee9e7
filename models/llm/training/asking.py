"""Ways to say the same question otherwise: words before and after it, and words that mean the same.

Questions about Tandem and questions about anything else are dressed alike, so that the dress says nothing.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from models.llm.training.dialogue import chance

if TYPE_CHECKING:
    from random import Random

# fmt: off
GREETINGS = ("", "", "", "", "Hi,", "Hello!", "Hey,", "Good day.", "Dear assistant,", "Sorry,", "Excuse me,", "OK,", "So,", "Well,", "Please,", "One thing:", "Now,")
LEADS = (
    "", "", "quick question:", "a question:", "can you tell me:", "I'd like to know:", "I would like to know this:", "tell me,", "please tell me:",
    "I was wondering:", "my question is:", "we wonder:", "do you know:", "somebody asked me:", "briefly,", "in short:", "in a nutshell:", "in a few words,",
    "just curious,", "for my notes:", "I am new here.", "small question,", "could you say,", "I need to know:", "let me ask:", "question:", "simple one:",
    "maybe you know:", "my colleague asks:", "before I start:", "once more:", "honestly,", "in plain words:", "as a beginner:", "say,",
)
TAILS = (
    "", "", "", "Thanks!", "Thank you.", "please", "Please be brief.", "In a sentence, please.", "Any idea?", "I could not find it.", "Just the answer.",
    "Thanks in advance.", "It is urgent.", "Do you know?", "I forgot.", "Keep it simple.", "Answer shortly.", "What do you say?", "Cheers", "Can you help?",
)
SAME = {
    "change": ("set", "alter", "modify", "adjust"),
    "start": ("launch", "begin with", "boot"),
    "run": ("execute", "start", "launch"),
    "build": ("make", "create", "produce"),
    "use": ("work with", "employ", "try"),
    "add": ("include", "plug in", "bring in"),
    "see": ("look at", "view", "find out"),
    "send": ("submit", "pass", "post"),
    "get": ("obtain", "receive", "have"),
    "limit": ("restrict", "cap", "bound"),
    "measure": ("test", "gauge", "determine"),
    "replace": ("exchange", "swap", "switch"),
    "computed": ("calculated", "worked out", "determined"),
    "allowed": ("possible", "permitted", "accepted"),
    "maximum": ("largest", "biggest", "highest"),
    "command": ("shell command", "make target", "command line"),
    "setting": ("option", "variable", "configuration setting"),
    "language model": ("LLM", "large language model", "chat model"),
    "LLM": ("language model", "chat model"),
    "server": ("service", "bundle"),
    "prediction": ("result", "classification", "model answer"),
    "predictions": ("results", "classifications"),
    "attributions": ("feature weights", "feature attributions", "contributions"),
    "explain": ("describe", "clarify", "spell out"),
    "many": ("a lot of", "several"),
    "endpoint": ("route", "path", "URL"),
    "docker": ("container", "Docker"),
    "which": ("what",),
    "can I": ("may I", "am I able to", "could I"),
    "how do I": ("how do we", "how can one", "how should I", "what do I do to", "how might I", "how would somebody"),
    "is there": ("do you have", "does it have", "is there perhaps"),
    "are there": ("do we have", "does it have"),
    "does Tandem": ("does it", "will Tandem", "would Tandem"),
}
# fmt: on
"""Words, and what may stand for them."""
_SAME = re.compile(rf"(?<![\w/`_.-])({'|'.join(sorted(SAME, key=len, reverse=True))})(?![\w/`_-])", re.IGNORECASE)
_BY_WORD = {word.lower(): others for word, others in SAME.items()}


def dressed(rng: Random, text: str) -> str:
    """`text` with something before it and after it."""
    before = f"{rng.choice(GREETINGS)} {rng.choice(LEADS)}".strip()
    if before and text[1:2].islower() and not text.startswith("Tandem"):
        text = text[:1].lower() + text[1:]
    return f"{before} {text} {rng.choice(TAILS)}".strip()


def reworded(rng: Random, text: str) -> str:
    """`text` with some of its words put otherwise."""
    return _SAME.sub(
        lambda found: rng.choice(_BY_WORD[found[0].lower()]) if chance(rng, 0.35) else found[0],
        text,
    )
