"""A fact about Tandem: one answer, with the words in which people ask for it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fact:
    """An answer, and what it answers.

    `tasks` complete "How do I ...?", `things` complete "What is ...?" or "Tell me about ...", `questions` stand alone.
    """

    name: str
    answer: str
    key: str
    """What an answer must hold to count as right."""
    tasks: tuple[str, ...] = ()
    things: tuple[str, ...] = ()
    questions: tuple[str, ...] = ()
