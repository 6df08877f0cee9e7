"""The embedded model's network: a Llama of four layers, small enough to train on two cores and to keep in git."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from models.llm.training import vocabulary

if TYPE_CHECKING:
    from pathlib import Path

    from tokenizers import Tokenizer
    from transformers import LlamaForCausalLM

CONTEXT = 1024
"""Longest prompt and answer together, in tokens. Training sees up to about 300."""
HIDDEN, FEED_FORWARD, LAYERS, HEADS = 256, 640, 4, 8
"""Heads of 32, which vLLM's CPU attention has a kernel for."""


def build(tokenizer: Tokenizer) -> LlamaForCausalLM:
    """A network with fresh weights from torch's current seed."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=HIDDEN,
        intermediate_size=FEED_FORWARD,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        num_key_value_heads=HEADS,
        max_position_embeddings=CONTEXT,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=vocabulary.number_of(tokenizer, vocabulary.END),
        pad_token_id=vocabulary.number_of(tokenizer, vocabulary.PAD),
        # On CPU, with heads of 32 and short rows, torch's fused attention takes half as long again for a whole step.
        attn_implementation="sdpa" if torch.cuda.is_available() else "eager",
    )
    return LlamaForCausalLM(config)


def save(network: LlamaForCausalLM, tokenizer: Tokenizer, folder: Path) -> None:
    """Write the folder that vLLM loads, the weights in bfloat16."""
    import torch

    folder.mkdir(parents=True, exist_ok=True)
    stored = build(tokenizer)
    stored.load_state_dict(network.state_dict())
    stored.to(torch.bfloat16).save_pretrained(folder)
    vocabulary.save(tokenizer, folder, CONTEXT)
    end, pad = vocabulary.number_of(tokenizer, vocabulary.END), vocabulary.number_of(tokenizer, vocabulary.PAD)
    # vLLM takes its default sampling from this file: greedy, since a copied number must not be left to chance.
    generation = {"eos_token_id": end, "pad_token_id": pad, "do_sample": False, "temperature": 0.0}
    (folder / "generation_config.json").write_text(json.dumps(generation, indent=2) + "\n")
    for path in folder.iterdir():
        path.chmod(0o644)  # safetensors writes for its owner alone, but a server may run as another user
