"""Dialogues as tensors: tokens padded to about the longest of their own small batch, the loss on answers alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from models.llm.training import vocabulary
from models.llm.training.mixture import dialogues

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch
    from tokenizers import Tokenizer

    from models.llm.training.dialogue import Dialogue


LENGTHS = 32
"""Batches are as long as a multiple of this: oneDNN makes a kernel for every shape that it meets, and with lengths of all
kinds it spent three steps in ten on that (0.93 s a step, 0.67 s with this)."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Tokens and what to predict from them."""

    tokens: torch.Tensor
    """Shape (dialogues, longest), int64; padded on the right, where causal attention never looks."""
    places: torch.Tensor
    """Indices into the flattened tokens from which a token of an answer is predicted, shape (answer tokens,)."""
    targets: torch.Tensor
    """Those tokens, shape (answer tokens,)."""


def step_batches(tokenizer: Tokenizer, seed: int, step: int, *, size: int, parts: int, fade: int) -> list[Batch]:
    """The dialogues of one optimizer step, sorted by length and cut into `parts` batches with little padding."""
    drawn = list(dialogues(seed, step * size, size, fade=fade))
    rows = sorted(encode(tokenizer, drawn), key=lambda row: len(row[0]))
    width = -(-size // parts)
    return [_batch(tokenizer, rows[at : at + width]) for at in range(0, size, width)]


def encode(tokenizer: Tokenizer, drawn: Sequence[Dialogue]) -> list[tuple[list[int], int]]:
    """Tokens of prompt and answer, and how many of them are the prompt."""
    prompts = tokenizer.encode_batch([vocabulary.render(dialogue.messages) for dialogue in drawn])
    answers = tokenizer.encode_batch([dialogue.answer + vocabulary.END for dialogue in drawn])
    return [(prompt.ids + answer.ids, len(prompt.ids)) for prompt, answer in zip(prompts, answers, strict=True)]


def _batch(tokenizer: Tokenizer, rows: Sequence[tuple[list[int], int]]) -> Batch:
    import torch

    longest = -(-max(len(tokens) for tokens, _ in rows) // LENGTHS) * LENGTHS
    padded = torch.full((len(rows), longest), vocabulary.number_of(tokenizer, vocabulary.PAD))
    places: list[int] = []
    targets: list[int] = []
    for index, (tokens, prompt) in enumerate(rows):
        padded[index, : len(tokens)] = torch.tensor(tokens)
        places.extend(range(index * longest + prompt - 1, index * longest + len(tokens) - 1))
        targets.extend(tokens[prompt:])
    return Batch(padded, torch.tensor(places), torch.tensor(targets))
