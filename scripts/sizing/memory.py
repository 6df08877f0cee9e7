"""What a language model takes of a GPU's memory, and how many sequences fit beside it.

    memory = weights x 1.2 + KV cache

Weights are parameters x bits / 8; the fifth more is for activations, CUDA's own context and captured graphs (the rule of
BentoML's LLM inference handbook, "Calculating GPU memory for serving LLMs": P x Q/8 x 1.2). A token's keys and values take

    2 x layers x key-value heads x head size x bytes        (Kwon et al. 2023, "Efficient Memory Management for Large Language
                                                            Model Serving with PagedAttention", section 3; grouped heads:
                                                            Ainslie et al. 2023, "GQA")
    layers x (kv_lora_rank + qk_rope_head_dim) x bytes      (MLA: DeepSeek-AI 2024, "DeepSeek-V2", table 1)

and vLLM hands them out in blocks of 16 tokens. A layer with a sliding window keeps no more than its window. Split over n GPUs,
each has 1/n of the weights and of the key-value heads, but at least one head; MLA's latent vector is whole on each.
"""

from __future__ import annotations

import json
import math
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from scripts.sizing.parameters import (
    Counts,
    count,
    field,
    head_size,
    is_latent,
    key_value_heads,
    text_config,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

OVERHEAD = 1.2
UTILIZATION = 0.9
"""Share of a GPU's memory that vLLM takes: the default of `llm.gpu_memory_utilization` on a GPU."""
_BLOCK = 16
_GROUP = 128
"""Weights that share a scale in 4-bit formats when the configuration does not say."""
_SCALE_BITS = 16
_MXFP4_BITS = 4.25
"""Four bits, and one scale of eight for each 32 weights."""
_HALF_BITS = 16


@dataclass(frozen=True)
class GPU:
    """One kind of GPU that vLLM's CUDA build runs on."""

    name: str
    mebibytes: int
    """What `nvidia-smi` says it has: a little less than its name promises where error correction takes some."""


GPUS = (
    GPU("T4", 15_360),
    GPU("L4", 23_034),
    GPU("A10G", 23_028),
    GPU("RTX 4090", 24_564),
    GPU("RTX 5090", 32_607),
    GPU("A100 40 GB", 40_960),
    GPU("L40S", 46_068),
    GPU("H100", 81_559),
    GPU("A100 80 GB", 81_920),
    GPU("RTX PRO 6000", 97_887),
    GPU("H200", 143_771),
    GPU("B200", 183_359),
)
_SPLITS = (1, 2, 4, 8)


@dataclass(frozen=True)
class Fit:
    """How a model sits on a number of equal GPUs."""

    gpu: GPU
    gpus: int
    sequences: int
    """Sequences of the asked length whose keys and values fit at once; more wait."""


@dataclass(frozen=True)
class Model:
    """A model, as far as memory goes."""

    counts: Counts
    weight_bytes: int
    config: Mapping[str, Any]
    cache_bytes: int
    """Bytes of one number in the KV cache."""

    def sequence_bytes(self, tokens: int, gpus: int = 1) -> int:
        """KV cache of one sequence of so many tokens, on each of so many GPUs."""
        if is_latent(self.config):
            numbers = field(self.config, "kv_lora_rank") + field(self.config, "qk_rope_head_dim")
        else:
            numbers = 2 * max(1, key_value_heads(self.config) // gpus) * head_size(self.config)
        return (
            sum(_blocks(min(tokens, window or tokens)) for window in _windows(self.config)) * numbers * self.cache_bytes
        )

    def sequences(self, mebibytes: int, gpus: int, tokens: int, utilization: float = UTILIZATION) -> int:
        """Sequences that fit beside the weights; negative when not even the weights do."""
        room = mebibytes * 2**20 * utilization - self.weight_bytes * OVERHEAD / gpus
        return int(room // self.sequence_bytes(tokens, gpus))

    def fit(self, gpu: GPU, tokens: int, utilization: float = UTILIZATION) -> Fit | None:
        """On the fewest of these GPUs that hold one sequence; None when eight do not."""
        heads = field(self.config, "num_attention_heads")
        for gpus in _SPLITS:
            sequences = self.sequences(gpu.mebibytes, gpus, tokens, utilization)
            if heads % gpus == 0 and sequences >= 1:
                return Fit(gpu, gpus, sequences)
        return None


def read(source: Path, bits: float | None = None, cache_bytes: int = 2) -> Model:
    """The model of a folder or a `config.json`; weights that lie beside it are measured instead of computed.

    `bits` is what a weight is quantized to while it is loaded. Raises OSError, ValueError and UnknownModel.
    """
    folder = source if source.is_dir() else source.parent
    config = text_config(
        json.loads((folder / "config.json" if source.is_dir() else source).read_text(encoding="utf-8"))
    )
    counts = count(config)
    found = stored(folder) if bits is None else None
    return Model(counts, found[1] if found else weight_bytes(config, counts, bits), config, cache_bytes)


def stored(folder: Path) -> tuple[int, int] | None:
    """Numbers in a folder's safetensors and their bytes once loaded, by the files' headers; None when there are none.

    vLLM turns 32-bit numbers into 16-bit ones unless told otherwise.
    """
    numbers = size = 0
    for file in folder.glob("model*.safetensors"):
        with file.open("rb") as opened:
            header = json.loads(opened.read(*struct.unpack("<Q", opened.read(8))))
        header.pop("__metadata__", None)
        for tensor in header.values():
            begin, end = tensor["data_offsets"]
            numbers += math.prod(tensor["shape"])
            size += (end - begin) // (2 if tensor["dtype"] == "F32" else 1)
    return (numbers, size) if size else None


def weight_bytes(config: Mapping[str, Any], counts: Counts, bits: float | None = None) -> int:
    """Bytes of the weights: embeddings in half precision, the rest in what the configuration or `bits` says."""
    quantization = config.get("quantization_config") or {}
    if quantization.get("quant_method") == "mxfp4" and bits is None:
        quantized, bits = counts.experts, _MXFP4_BITS
    else:
        quantized, bits = counts.dense + counts.experts, bits or _bits(quantization)
    return int((quantized * bits + (counts.total - quantized) * _HALF_BITS) / 8)


def _bits(quantization: Mapping[str, Any]) -> float:
    method = quantization.get("quant_method")
    groups = quantization.get("config_groups") or {}
    weights: Mapping[str, Any] = next((group["weights"] for group in groups.values() if group.get("weights")), {})
    bits = quantization.get("bits") or weights.get("num_bits")
    if method == "bitsandbytes":
        bits = 4 if quantization.get("load_in_4bit") else 8
    elif method in ("fp8", "fbgemm_fp8"):
        bits = 8
    if bits is None:
        return _HALF_BITS
    group = quantization.get("group_size") or weights.get("group_size") or _GROUP
    return float(bits + (_SCALE_BITS + bits) / group if bits <= 4 and group > 0 else bits)  # noqa: PLR2004 - four bits


def _windows(config: Mapping[str, Any]) -> list[int | None]:
    """The sliding window of each layer, None where it looks at everything."""
    layers = field(config, "num_hidden_layers")
    window = config.get("sliding_window") if config.get("use_sliding_window", True) else None
    kinds = config.get("layer_types")
    if kinds:
        return [window if kind == "sliding_attention" else None for kind in kinds]
    return [window] * layers


def _blocks(tokens: int) -> int:
    return -(-tokens // _BLOCK) * _BLOCK
