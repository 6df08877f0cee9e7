"""A prediction and what speaks for and against it, as explanations state them."""

from __future__ import annotations

from dataclasses import dataclass

from models.llm import prompts


@dataclass(frozen=True, slots=True)
class Reason:
    """A feature as an explanation speaks of it."""

    name: str
    """In words, such as "petal length" or "the top left region"."""
    value: str | None
    """With its unit, as printed: "1.4 cm"; None for a region."""
    supports: bool

    @property
    def clause(self) -> str:
        return prompts.clause(self.name, self.value, supports=self.supports)

    @property
    def equation(self) -> str:
        return self.name if self.value is None else f"{self.name} = {self.value}"


@dataclass(frozen=True, slots=True)
class Prediction:
    """All that an explanation may state."""

    model: str
    label: str
    probability: str
    """As printed: "97.3 %"."""
    reasons: tuple[Reason, ...]
    """The strongest first, at most `prompts.TOP_FEATURES`."""
