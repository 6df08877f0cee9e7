"""Ways to ask for an explanation that no training prompt uses."""

from __future__ import annotations

DIRECTIONS = (
    ("for", "against"),
    ("speaks for it", "speaks against it"),
    ("supports it", "opposes it"),
    ("+", "-"),
    ("positive", "negative"),
    ("raises it", "lowers it"),
)
"""Words for the two directions: words that training knows, for a small model cannot guess others."""

LISTS = (
    ("{equation}, which is {direction}", "; "),
    ("({direction}) {equation}", ", "),
    ("{equation} / {direction}", "\n"),
    ("> {equation}: {direction}", "\n"),
    ("{equation} = {direction}", " | "),
)

FRAMES = (
    "Give me the story behind this one: {model} says {label}, probability {probability}, because of {reasons}",
    "My customer asks why the {model} model put down {label} with {probability}. Here is what I have: {reasons}",
    "{model} -> {label} ({probability})\n{reasons}\nWrite that as text.",
    "Can you turn this into a sentence or two? Model {model}; result {label}; probability {probability}; {reasons}",
    "The classifier {model} came back with {label} and a probability of {probability}. These features weighed most: {reasons}",
    "Label: {label}. Model: {model}. Probability: {probability}. What counted: {reasons}. In plain English, please.",
    "Why {label}? The {model} model was at {probability} and its features were {reasons}",
    "For the report I need an explanation of {model}, which predicted {label} ({probability}). The reasons are {reasons}",
    "Result of {model}: {label}\nSure to {probability}\nReasons, the strongest first:\n{reasons}",
    "Help me understand: with a probability of {probability} the {model} model decided on {label}. {reasons}",
)
