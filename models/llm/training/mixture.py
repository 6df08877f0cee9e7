"""Which task comes when: copying first, the real tasks as it fades. The draw depends on the seed and the place alone."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from models.llm.training.answering import answering, elsewhere
from models.llm.training.copying import copying
from models.llm.training.explaining import directing, explaining
from models.llm.training.extracting import extracting

if TYPE_CHECKING:
    from collections.abc import Iterator

    from models.llm.training.dialogue import Dialogue

SHARES = (
    (explaining, 0.28),
    (directing, 0.05),
    (extracting, 0.49),
    (answering, 0.10),
    (elsewhere, 0.08),
)
"""What is drawn once copying has faded, and how often; extraction is learned last and takes the most."""
_COPIES = (copying, directing)
"""The copy tasks: figures, and words that go with a name. Without the second the model takes "for" and "against" for
a matter of chance, and does so for a thousand steps."""
COPY_FIRST, COPY_LAST = 0.9, 0.02
"""Share of copy tasks at the start, and once the real tasks have taken over."""


def dialogues(seed: int, start: int, count: int, *, fade: int) -> Iterator[Dialogue]:
    """The dialogues number `start` to ``start + count`` of a run; copy tasks have faded after `fade` of them."""
    makers = [maker for maker, _ in SHARES]
    weights = [share for _, share in SHARES]
    for index in range(start, start + count):
        rng = Random(f"{seed}/{index}")  # noqa: S311 (no secret is drawn)
        if rng.random() < copy_share(index, fade):
            yield rng.choice(_COPIES)(rng)
        else:
            yield rng.choices(makers, weights)[0](rng)


def copy_share(index: int, fade: int) -> float:
    """Share of copy tasks at the dialogue `index`: flat for a third of `fade`, then falling in a line."""
    progress = min(max((index - fade / 3) / (fade * 2 / 3), 0.0), 1.0) if fade else 1.0
    return COPY_FIRST + (COPY_LAST - COPY_FIRST) * progress
