"""The committed model: small enough for git, and of the form that vLLM loads with no code of its own."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

import pytest

import models.llm
from models.llm.training import explaining, vocabulary

EMBEDDED = Path(models.llm.__file__).parent / "embedded"


def test_it_takes_at_most_ten_megabytes() -> None:
    assert sum(path.stat().st_size for path in EMBEDDED.iterdir()) <= 10_000_000


def test_it_is_a_llama_with_heads_that_vllm_has_a_cpu_kernel_for() -> None:
    config = json.loads((EMBEDDED / "config.json").read_text())
    assert config["architectures"] == ["LlamaForCausalLM"]
    assert config["hidden_size"] // config["num_attention_heads"] == 32
    assert "auto_map" not in config


def test_greedy_decoding_is_its_default_and_its_end_is_known() -> None:
    generation = json.loads((EMBEDDED / "generation_config.json").read_text())
    tokenizer = json.loads((EMBEDDED / "tokenizer.json").read_text())
    ids = {token["content"]: token["id"] for token in tokenizer["added_tokens"]}
    assert generation["temperature"] == 0.0
    assert generation["eos_token_id"] == ids[vocabulary.END]
    assert json.loads((EMBEDDED / "tokenizer_config.json").read_text())["chat_template"] == vocabulary.CHAT_TEMPLATE


@pytest.mark.parametrize("model", ["iris", "fraud", "digits"])
def test_it_states_label_and_probability(model: str) -> None:
    prediction = explaining.prediction_of(Random(f"unit/{model}"), model)
    answer = said(vocabulary.render(explaining.tandem_messages(prediction)))
    assert answer.startswith(
        f"The {model} model predicts {prediction.label} with a probability of {prediction.probability}, "
    )


def test_it_sends_strangers_elsewhere() -> None:
    answer = said(vocabulary.render([{"role": "user", "content": "Write a poem about the sea."}]))
    assert "TANDEM_LLM__MODEL" in answer


def said(prompt: str) -> str:
    """What the model answers, greedily, by transformers: a second engine beside vLLM."""
    import torch
    from tokenizers import Tokenizer
    from transformers import LlamaForCausalLM

    tokenizer = Tokenizer.from_file(str(EMBEDDED / "tokenizer.json"))
    network = LlamaForCausalLM.from_pretrained(EMBEDDED)
    tokens = torch.tensor([tokenizer.encode(prompt).ids])
    found = network.generate(tokens, attention_mask=torch.ones_like(tokens), max_new_tokens=100)[0, tokens.shape[1] :]
    text: str = tokenizer.decode(found.tolist(), skip_special_tokens=True)
    return text
