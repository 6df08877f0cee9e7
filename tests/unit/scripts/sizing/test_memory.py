from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from scripts.sizing.memory import GPUS, OVERHEAD, Model, read, stored, weight_bytes
from scripts.sizing.parameters import count
from services.settings.llm import EMBEDDED_LLM
from tests.unit.scripts.sizing import configs

if TYPE_CHECKING:
    from pathlib import Path

GPU = {gpu.name: gpu for gpu in GPUS}


def model(config: dict[str, Any], bits: float | None = None, cache_bytes: int = 2) -> Model:
    counts = count(config)
    return Model(counts, weight_bytes(config, counts, bits), config, cache_bytes)


def fitting(one: Model, gpu: str, tokens: int = 8192) -> tuple[int, int]:
    """GPUs and sequences."""
    fit = one.fit(GPU[gpu], tokens)
    assert fit is not None
    return fit.gpus, fit.sequences


@pytest.mark.parametrize(
    ("config", "kib"),
    [
        pytest.param(configs.LLAMA_3_1_8B, 128, id="grouped heads: Llama-3.1-8B"),
        pytest.param(configs.LLAMA_3_1_70B, 320, id="grouped heads: Llama-3.1-70B"),
        pytest.param(configs.QWEN2_5_7B, 56, id="grouped heads: Qwen2.5-7B"),
        pytest.param(configs.DEEPSEEK_V3, 68.6, id="latent: DeepSeek-V3, 70 KB in its paper"),
        pytest.param(
            {"num_hidden_layers": 40, "num_attention_heads": 40, "hidden_size": 5120},
            800,
            id="plain heads: OPT-13B, 800 KB in the paper on PagedAttention",
        ),
    ],
)
def test_a_token_takes_what_is_published(config: dict[str, Any], kib: float) -> None:
    cached = Model(count(configs.LLAMA_3_1_8B), 0, config, 2)
    assert cached.sequence_bytes(16) / 16 / 1024 == pytest.approx(kib, rel=0.001)


def test_the_cache_is_handed_out_in_blocks_and_halved_by_fp8() -> None:
    llama = model(configs.LLAMA_3_1_8B)
    assert llama.sequence_bytes(1) == llama.sequence_bytes(16) == llama.sequence_bytes(17) / 2
    assert model(configs.LLAMA_3_1_8B, cache_bytes=1).sequence_bytes(16) * 2 == llama.sequence_bytes(16)


def test_a_sliding_window_bounds_what_a_layer_keeps() -> None:
    assert model(configs.MISTRAL_7B).sequence_bytes(32_768) == model(configs.MISTRAL_7B).sequence_bytes(4096)
    assert model(configs.QWEN2_5_7B).sequence_bytes(200_000) > model(configs.QWEN2_5_7B).sequence_bytes(131_072)
    alternating, everywhere = model(configs.GPT_OSS_20B), model(configs.GPT_OSS_20B | {"layer_types": None})
    full = model(configs.GPT_OSS_20B | {"layer_types": None, "sliding_window": None})
    assert alternating.sequence_bytes(8192) * 2 == full.sequence_bytes(8192) + everywhere.sequence_bytes(8192)


def test_gpus_share_heads_until_there_is_one_each_but_never_a_latent_vector() -> None:
    qwen = model(configs.QWEN2_5_7B)
    assert qwen.sequence_bytes(16, 4) * 4 == qwen.sequence_bytes(16)
    assert qwen.sequence_bytes(16, 8) == qwen.sequence_bytes(16, 4)
    assert model(configs.DEEPSEEK_V3).sequence_bytes(16, 8) == model(configs.DEEPSEEK_V3).sequence_bytes(16)


AWQ = {"quantization_config": {"quant_method": "awq", "bits": 4, "group_size": 128}}
COMPRESSED = {
    "quantization_config": {
        "quant_method": "compressed-tensors",
        "config_groups": {"group_0": {"weights": {"num_bits": 4, "group_size": 128}}},
    }
}


@pytest.mark.parametrize(
    ("config", "bits", "gigabytes"),
    [
        pytest.param(configs.LLAMA_3_1_8B, None, 16.06, id="16 bits: 2 bytes each"),
        pytest.param(configs.LLAMA_3_1_8B | AWQ, None, 5.73, id="AWQ: the hub's file has 5.73 GB"),
        pytest.param(configs.LLAMA_3_1_8B | COMPRESSED, None, 5.73, id="the same as compressed tensors"),
        pytest.param(configs.LLAMA_3_1_8B, 8, 9.08, id="fp8 while loading: the hub's files have 9.08 GB"),
        pytest.param(configs.GPT_OSS_20B, None, 13.8, id="MXFP4: the hub's files have 13.8 GB"),
        pytest.param(configs.DEEPSEEK_V3, None, 673, id="fp8: a byte each, embeddings two"),
    ],
)
def test_weights_take_what_their_files_take(config: dict[str, Any], bits: float | None, gigabytes: float) -> None:
    assert weight_bytes(config, count(config), bits) / 1e9 == pytest.approx(gigabytes, rel=0.01)


def test_a_model_sits_on_the_fewest_gpus_that_hold_it() -> None:
    llama = model(configs.LLAMA_3_1_8B)
    assert fitting(llama, "T4")[0] == 2
    room = 23_034 * 2**20 * 0.9 - 16.06e9 * OVERHEAD
    assert fitting(llama, "L4") == (1, int(room // 2**30))
    large = model(configs.LLAMA_3_1_70B)
    assert [fitting(large, name)[0] for name in ("H100", "H200", "B200")] == [4, 2, 1]
    assert model(configs.DEEPSEEK_V3).fit(GPU["H100"], 8192) is None
    assert fitting(model(configs.DEEPSEEK_V3), "H200")[0] == 8


def test_heads_must_divide_over_the_gpus() -> None:
    seven = model(configs.QWEN2_5_7B | {"num_attention_heads": 7, "hidden_size": 896 * 8})
    assert seven.fit(GPU["T4"], 1024) is None


def test_weights_in_the_folder_are_measured(tmp_path: Path) -> None:
    embedded = stored(EMBEDDED_LLM)
    assert embedded is not None
    assert read(EMBEDDED_LLM).weight_bytes == embedded[1]
    (tmp_path / "config.json").write_text(json.dumps(configs.LLAMA_3_1_8B), encoding="utf-8")
    assert read(tmp_path).weight_bytes == read(tmp_path / "config.json").weight_bytes == 2 * 8_030_261_248
    save_file(
        {"half": np.zeros(100, np.float16), "whole": np.zeros((10, 10), np.float32)},
        tmp_path / "model-00001-of-00001.safetensors",
    )
    assert stored(tmp_path) == (200, 400)
    assert read(tmp_path).weight_bytes == 400
    assert read(tmp_path, bits=8).weight_bytes > 8e9
