"""How many parameters a decoder-only language model has, from its `config.json` alone.

Names are those of Hugging Face's configurations, counts those of the layers that vLLM builds from them. A layer has
(H hidden size, D head size, Q query heads, K key-value heads, I intermediate size):

    attention   H·Q·D (query) + 2·H·K·D (key, value) + Q·D·H (output), plus biases and norms of q and k where a family has them;
                with latent attention (MLA; DeepSeek-AI 2024, "DeepSeek-V2", section 2.1) the low-rank projections instead
    MLP         3·H·I, gate, up and down (Shazeer 2020, "GLU Variants Improve Transformer"); with experts that for each of
                them, plus the router's H a routed expert, of which a token uses `num_experts_per_tok` and the shared ones
    norms       H each, two a layer in most families
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


class UnknownModel(Exception):
    """The configuration does not say what is needed; the message names it."""


@dataclass(frozen=True)
class Counts:
    """Parameters by what becomes of them."""

    embedding: int
    """Token embedding and output head, one matrix where they are tied; quantizers leave them as they are."""
    dense: int
    """Of the layers, without routed experts."""
    experts: int = 0
    """Of all routed experts."""
    active_experts: int = 0
    """Of those routed experts that one token passes through."""

    @property
    def total(self) -> int:
        """All: what has to fit into memory."""
        return self.embedding + self.dense + self.experts

    @property
    def active(self) -> int:
        """What one token passes through: what it costs to compute."""
        return self.embedding + self.dense + self.active_experts


@dataclass(frozen=True)
class _Family:
    """What the code of a family has and its `config.json` does not say."""

    qkv_bias: bool = False
    head_norms: bool = False
    """Norms of queries and keys, one weight for each of a head's dimensions."""
    norms: int = 2
    tied: bool = False
    """Whether output head and embedding are one when `tie_word_embeddings` is missing."""
    sinks: bool = False
    """A learned attention sink for each head, and biases in router and experts."""


_FAMILIES = {
    "llama": _Family(),
    "mistral": _Family(),
    "mixtral": _Family(),
    "phi3": _Family(),
    "qwen2": _Family(qkv_bias=True),
    "qwen2_moe": _Family(qkv_bias=True),
    "qwen3": _Family(head_norms=True),
    "qwen3_moe": _Family(head_norms=True),
    "gemma": _Family(tied=True),
    "gemma2": _Family(norms=4, tied=True),
    "gemma3_text": _Family(norms=4, head_norms=True, tied=True),
    "deepseek_v2": _Family(),
    "deepseek_v3": _Family(),
    "gpt_oss": _Family(sinks=True),
}


def known(config: Mapping[str, Any]) -> bool:
    """Whether the model's family is one that is counted to the last parameter; others are counted as Llama's."""
    return config.get("model_type") in _FAMILIES


def count(config: Mapping[str, Any]) -> Counts:
    """The model's parameters, without vision towers and layers that predict further tokens. Raises UnknownModel."""
    family = _FAMILIES.get(str(config.get("model_type")), _Family())
    hidden, layers, vocabulary = (field(config, name) for name in ("hidden_size", "num_hidden_layers", "vocab_size"))
    tied = bool(config.get("tie_word_embeddings", family.tied))
    per_layer = _attention(config, family) + family.norms * hidden
    with_experts = [layer for layer in range(layers) if _has_experts(config, layer)]
    expert, router, shared = _expert(config, family) if with_experts else (0, 0, 0)
    dense_layers = layers - len(with_experts)
    dense_mlp = 3 * hidden * field(config, "intermediate_size") if dense_layers else 0
    if config.get("mlp_bias"):
        dense_mlp += 2 * field(config, "intermediate_size") + hidden
    return Counts(
        embedding=vocabulary * hidden * (1 if tied else 2),
        dense=layers * per_layer + dense_layers * dense_mlp + len(with_experts) * (router + shared) + hidden,
        experts=len(with_experts) * expert * routed_experts(config),
        active_experts=len(with_experts) * expert * int(config.get("num_experts_per_tok") or 0),
    )


def text_config(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The part of a multimodal model's configuration that is about its language model."""
    nested = config.get("text_config")
    return {**config, **nested} if isinstance(nested, dict) else config


def field(config: Mapping[str, Any], name: str) -> int:
    """A number that the configuration must have. Raises UnknownModel."""
    value = config.get(name)
    if not isinstance(value, int):
        raise UnknownModel(f"config.json has no {name}: this is not a decoder-only language model that can be counted.")
    return value


def head_size(config: Mapping[str, Any]) -> int:
    """Dimensions of one attention head."""
    return int(config.get("head_dim") or field(config, "hidden_size") // field(config, "num_attention_heads"))


def key_value_heads(config: Mapping[str, Any]) -> int:
    """Heads that keys and values are kept for; fewer than those of queries in grouped-query attention."""
    return int(config.get("num_key_value_heads") or field(config, "num_attention_heads"))


def is_latent(config: Mapping[str, Any]) -> bool:
    """Whether keys and values are kept as one latent vector (MLA)."""
    return bool(config.get("kv_lora_rank"))


def routed_experts(config: Mapping[str, Any]) -> int:
    """Experts that a layer chooses from; 0 in a dense model."""
    names = ("num_local_experts", "num_experts", "n_routed_experts")
    return next((int(config[name]) for name in names if config.get(name)), 0)


def _attention(config: Mapping[str, Any], family: _Family) -> int:
    if is_latent(config):
        return _latent_attention(config)
    hidden, heads, size = field(config, "hidden_size"), field(config, "num_attention_heads"), head_size(config)
    queries, pairs = heads * size, 2 * key_value_heads(config) * size
    biased = bool(config.get("attention_bias"))
    return (
        hidden * (queries + pairs)
        + queries * hidden
        + ((queries + pairs) if family.qkv_bias or biased else 0)
        + (hidden if biased else 0)
        + (2 * size if family.head_norms else 0)
        + (heads if family.sinks else 0)
    )


def _latent_attention(config: Mapping[str, Any]) -> int:
    hidden, heads = field(config, "hidden_size"), field(config, "num_attention_heads")
    latent, rotary = field(config, "kv_lora_rank"), field(config, "qk_rope_head_dim")
    plain, value = field(config, "qk_nope_head_dim"), field(config, "v_head_dim")
    rank = config.get("q_lora_rank")
    queries = heads * (plain + rotary)
    return (
        (hidden * rank + rank + rank * queries if rank else hidden * queries)
        + hidden * (latent + rotary)
        + latent
        + latent * heads * (plain + value)
        + heads * value * hidden
    )


def _has_experts(config: Mapping[str, Any], layer: int) -> bool:
    if not routed_experts(config) or layer in (config.get("mlp_only_layers") or ()):
        return False
    step = int(config.get("decoder_sparse_step") or config.get("moe_layer_freq") or 1)
    if "decoder_sparse_step" in config:
        return (layer + 1) % step == 0
    return layer >= int(config.get("first_k_dense_replace") or 0) and layer % step == 0


def _expert(config: Mapping[str, Any], family: _Family) -> tuple[int, int, int]:
    """Parameters of one expert, of a layer's router, and of what is shared by all tokens."""
    hidden, experts = field(config, "hidden_size"), routed_experts(config)
    width = int(config.get("moe_intermediate_size") or field(config, "intermediate_size"))
    correction = config.get("topk_method") == "noaux_tc" or family.sinks
    router = hidden * experts + (experts if correction else 0)
    shared_width = int(config.get("n_shared_experts") or 0) * width
    gate = 0
    if config.get("shared_expert_intermediate_size"):
        shared_width, gate = int(config["shared_expert_intermediate_size"]), hidden
    biases = 2 * width + hidden if family.sinks else 0
    return 3 * hidden * width + biases, router, 3 * hidden * shared_width + gate
