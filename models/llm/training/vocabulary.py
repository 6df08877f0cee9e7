"""The tokenizer: byte-level BPE over the training dialogues, with every digit a token of its own.

A number is then copied digit by digit, whatever its length, and a digit is always the same token: no piece joins it
with a neighbour or a space.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from models.llm.training.mixture import dialogues

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tokenizers import Tokenizer

    from models.llm.prompts import Messages
    from models.llm.training.dialogue import Dialogue

SIZE = 2048
PAD, END = "<|pad|>", "<|end|>"
SPECIAL = (PAD, END, "<|system|>", "<|user|>", "<|assistant|>")

PIECES = r"""\d| ?[A-Za-z_]+| ?[^\sA-Za-z_\d]+(?: (?=[\d"]))?"?|\s"""
"""What BPE may not cross: a digit; a word, `snake_case` kept whole; a run of marks, with the space before it and, before a
digit or a quote, the one after it, so that JSON's `":` and `,"`, with spaces or without, are single tokens; a space."""

CHAT_TEMPLATE = (
    "{%- for message in messages -%}"
    "{%- set role = {'developer': 'system', 'tool': 'user'}.get(message['role'], message['role']) -%}"
    "{{- '<|' + role + '|>' + (message['content'] or '') + '<|end|>' -}}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|assistant|>' -}}{%- endif -%}"
)


def render(messages: Messages) -> str:
    """The prompt that `CHAT_TEMPLATE` makes of the messages."""
    turns = "".join(f"<|{message['role']}|>{message['content']}{END}" for message in messages)
    return f"{turns}<|assistant|>"


def number_of(tokenizer: Tokenizer, token: str) -> int:
    """The id of a token that is certainly there."""
    number: int | None = tokenizer.token_to_id(token)
    assert number is not None, token
    return number


def learn(seed: int, samples: int = 40_000) -> Tokenizer:
    """Learn the vocabulary from the first `samples` dialogues of a run with no copy curriculum."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PIECES), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=SIZE,
        min_frequency=20,
        special_tokens=[AddedToken(token, special=True, normalized=False) for token in SPECIAL],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_texts(dialogues(seed, 0, samples, fade=0)), trainer)
    return tokenizer


def _texts(drawn: Iterator[Dialogue]) -> Iterator[str]:
    for dialogue in drawn:
        yield from (message["content"] for message in dialogue.messages)
        yield dialogue.answer


def save(tokenizer: Tokenizer, folder: Path, context: int) -> None:
    """Write tokenizer.json and the configuration that goes with it, chat template included."""
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": context,
        "eos_token": END,
        "pad_token": PAD,
        "clean_up_tokenization_spaces": False,
        "chat_template": CHAT_TEMPLATE,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")
