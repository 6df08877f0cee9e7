from __future__ import annotations

import json
from typing import Any

import pytest

from scripts.sizing.memory import stored
from scripts.sizing.parameters import UnknownModel, count, known, text_config
from services.settings.llm import EMBEDDED_LLM
from tests.unit.scripts.sizing import configs


@pytest.mark.parametrize(
    ("config", "published"),
    [
        pytest.param(configs.LLAMA_3_1_8B, 8_030_261_248, id="Llama-3.1-8B"),
        pytest.param(configs.LLAMA_3_1_70B, 70_553_706_496, id="Llama-3.1-70B"),
        pytest.param(configs.MISTRAL_7B, 7_241_732_096, id="Mistral-7B-v0.1"),
        pytest.param(configs.MIXTRAL_8X7B, 46_702_792_704, id="Mixtral-8x7B"),
        pytest.param(configs.QWEN2_5_7B, 7_615_616_512, id="Qwen2.5-7B"),
        pytest.param(configs.QWEN2_5_1_5B, 1_543_714_304, id="Qwen2.5-1.5B"),
        pytest.param(configs.QWEN3_4B, 4_022_468_096, id="Qwen3-4B"),
        pytest.param(configs.QWEN3_8B, 8_190_735_360, id="Qwen3-8B"),
        pytest.param(configs.QWEN3_30B_A3B, 30_532_122_624, id="Qwen3-30B-A3B"),
        pytest.param(configs.QWEN1_5_MOE, 14_315_784_192, id="Qwen1.5-MoE-A2.7B"),
        pytest.param(configs.GEMMA_2_2B, 2_614_341_888, id="Gemma-2-2B"),
        pytest.param(configs.DEEPSEEK_V2_LITE, 15_706_484_224, id="DeepSeek-V2-Lite"),
        pytest.param(configs.GPT_OSS_20B, 20_914_757_184, id="gpt-oss-20b"),
    ],
)
def test_counts_are_those_that_the_hub_counts_in_the_weights(config: dict[str, Any], published: int) -> None:
    assert known(config)
    assert count(config).total == published


@pytest.mark.parametrize(
    ("config", "total", "active"),
    [
        pytest.param(configs.MIXTRAL_8X7B, 46.7, 12.9, id="Mixtral-8x7B"),
        pytest.param(configs.QWEN3_30B_A3B, 30.5, 3.3, id="Qwen3-30B-A3B"),
        pytest.param(configs.QWEN1_5_MOE, 14.3, 2.7, id="Qwen1.5-MoE-A2.7B"),
        pytest.param(configs.DEEPSEEK_V3, 671, 37, id="DeepSeek-V3"),
        pytest.param(configs.LLAMA_3_1_8B, 8.03, 8.03, id="Llama-3.1-8B"),
    ],
)
def test_a_token_passes_through_as_many_as_is_published(config: dict[str, Any], total: float, active: float) -> None:
    counted = count(config)
    assert counted.total / 1e9 == pytest.approx(total, rel=0.005)
    assert counted.active / 1e9 == pytest.approx(active, rel=0.02)


def test_the_embedded_model_is_counted_to_its_last_parameter() -> None:
    measured = stored(EMBEDDED_LLM)
    assert measured is not None
    config = json.loads((EMBEDDED_LLM / "config.json").read_text(encoding="utf-8"))
    assert count(config).total == measured[0]


def test_the_language_model_of_a_multimodal_one_is_found() -> None:
    config = {"model_type": "llava", "text_config": configs.QWEN3_8B, "vision_config": {"hidden_size": 1}}
    assert count(text_config(config)).total == 8_190_735_360


def test_what_is_no_decoder_is_refused_by_the_field_that_it_lacks() -> None:
    with pytest.raises(UnknownModel, match="vocab_size"):
        count({"hidden_size": 768, "num_hidden_layers": 12})


def test_a_strange_family_is_counted_as_llama_and_known_as_strange() -> None:
    strange = configs.LLAMA_3_1_8B | {"model_type": "novel"}
    assert not known(strange)
    assert count(strange) == count(configs.LLAMA_3_1_8B)
