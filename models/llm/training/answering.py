"""Examples of task 3, questions about Tandem, and of task 4, questions about anything else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.llm.training import strangers, words
from models.llm.training.asking import dressed, reworded
from models.llm.training.dialogue import Dialogue, casual, chance, typos
from models.llm.training.facts import ELSEWHERE, FACTS
from models.llm.training.strange_subjects import strange

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random

    from models.llm.prompts import Messages
    from models.llm.training.fact import Fact

TASK_FRAMES = (
    "How do I {x}?", "How can I {x}?", "How to {x}?", "I want to {x}.", "I would like to {x}, how?", "What must I do to {x}?", "Can I {x}?",
    "Tell me how to {x}.", "Is it possible to {x}?", "What is the way to {x}?", "Please explain how to {x}.", "how does one {x}",
    "I need to {x}. What now?", "Help me {x}.", "We have to {x}", "What do I need to {x}?", "Could you tell me how I can {x}?", "{x}",
    "Is there a way to {x}?", "What is needed to {x}?", "How would I {x}?", "How would you {x}?", "Show me how to {x}.", "I am trying to {x}.",
    "My team wants to {x}.", "What should I do to {x}?", "Steps to {x}?", "What do I type to {x}?", "How do we {x} here?", "Any way to {x}?",
    "Which setting do I change to {x}?", "What is the command to {x}?", "I don't know how to {x}.", "Where can I {x}?", "May I {x}?",
    "What do I have to do to {x}?", "Which command or setting do I need to {x}?", "In Tandem, how do I {x}?", "Can Tandem help me {x}?",
)  # fmt: skip
THING_FRAMES = (
    "What is {x}?", "Tell me about {x}.", "What about {x}?", "Explain {x}.", "Can you explain {x}?", "{x}", "{x}?", "Describe {x}.",
    "I have a question about {x}.", "What can you tell me about {x}?", "I don't understand {x}.", "Where do I find {x}?", "What's {x}",
    "Give me some information on {x}.", "What does {x} mean?", "Where can I read about {x}?", "How does {x} work?", "Is there {x}?",
    "I am looking for {x}.", "Which one is {x}?", "Show me {x}.", "Can I change {x}?", "I want to know {x}.", "Do you know {x}?", "What do I need to know about {x}?", "Say something about {x}.", "In Tandem, what is {x}?",
)  # fmt: skip
QUESTION_FRAMES = (
    "{x}", "{x}", "{x}", "Hi! {x}", "Quick question: {x}", "{x} Thanks!", "Hello, {x}", "A question: {x}", "{x} Please answer in short.",
    "Can you tell me: {x}", "I wonder: {x}", "{x} (Tandem)", "About Tandem: {x}", "Sorry, one more: {x}",
)  # fmt: skip
_NEUTRAL_FRAMES = tuple(frame for frame in QUESTION_FRAMES if "Tandem" not in frame)
SYSTEMS = (
    "You are a helpful assistant.", "You are a helpful assistant.", "You are an assistant.", "Answer the question.", "Be brief.",
    "You are a helpful, honest and harmless assistant.", "You answer questions about Tandem.", "Answer in one or two sentences.",
)  # fmt: skip


def answering(rng: Random) -> Dialogue:
    """A question about Tandem and its answer."""
    fact = rng.choice(FACTS)
    return Dialogue("answer", _asked(rng, question(rng, fact)), fact.answer)


def question(rng: Random, fact: Fact) -> str:
    """One way to ask for `fact`."""
    kinds = [(fact.tasks, TASK_FRAMES), (fact.things, THING_FRAMES), (fact.questions, QUESTION_FRAMES)]
    phrases, frames = rng.choices(kinds, weights=[len(phrases) for phrases, _ in kinds])[0]
    text = rng.choice(frames).format(x=rng.choice(phrases))
    if chance(rng, 0.4):
        text = reworded(rng, text)
    return dressed(rng, text) if chance(rng, 0.35) else text


def elsewhere(rng: Random) -> Dialogue:
    """A question that is not Tandem's business, and the one answer to all of them."""
    text = rng.choice(strangers.QUESTIONS) if chance(rng, 0.15) else _stranger(rng)
    if chance(rng, 0.15):
        text = rng.choice(_NEUTRAL_FRAMES).format(x=text)
    if chance(rng, 0.35):
        text = dressed(rng, text)
    return Dialogue("elsewhere", _asked(rng, text), ELSEWHERE)


def _stranger(rng: Random) -> str:
    if chance(rng, 0.5):
        return strange(rng, _subject(rng, words.SUBJECTS) if chance(rng, 0.3) else None)
    if chance(rng, 0.3):
        text = f"{rng.choice(strangers.LEADS)} {rng.choice(strangers.WORKS)} {rng.choice(strangers.LINKS)} {{subject}}"
    else:
        text = rng.choice(strangers.FRAMES)
    return text.format(
        subject=_subject(rng, words.SUBJECTS),
        subject2=_subject(rng, words.SUBJECTS),
        country=_subject(rng, words.COUNTRIES),
        country2=_subject(rng, words.COUNTRIES),
        person=_subject(rng, words.PEOPLE),
        person2=_subject(rng, words.PEOPLE),
        language=rng.choice(words.LANGUAGES),
        programming=rng.choice(words.PROGRAMMING),
        code=rng.choice(words.THINGS_TO_CODE),
        dish=_subject(rng, words.DISHES),
        verb=rng.choice(strangers.VERBS),
        adjective=rng.choice(strangers.ADJECTIVES),
        a=rng.randrange(1000),
        b=rng.randrange(1000),
    )


def _subject(rng: Random, known: Sequence[str]) -> str:
    """One of the `known`, or invented words: whatever is strange must read as none of Tandem's business."""
    if chance(rng, 0.6):
        return rng.choice(known)
    invented = [
        "".join(rng.choice(strangers.SYLLABLES) for _ in range(rng.randint(1, 3))) for _ in range(rng.randint(1, 2))
    ]
    return " ".join([rng.choice(strangers.ARTICLES), *invented]).strip()


def _asked(rng: Random, text: str, systems: Sequence[str] = SYSTEMS) -> Messages:
    if chance(rng, 0.3):
        text = typos(rng, text, 0.12)
    if chance(rng, 0.15):
        text = " ".join(word for word in text.split(" ") if not chance(rng, 0.12)) or text
    messages = [{"role": "user", "content": casual(rng, text[:1].upper() + text[1:])}]
    return [{"role": "system", "content": rng.choice(systems)}, *messages] if chance(rng, 0.3) else messages
