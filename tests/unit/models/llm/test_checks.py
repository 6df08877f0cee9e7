from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from models.llm.arguments import engine_argv
from models.llm.checks import LORA_RANKS, advice
from models.llm.contract import EngineConfigError
from tests.unit.models.llm.named import settings, write_config

if TYPE_CHECKING:
    from pathlib import Path

    from models.llm.contract import Device


def refusal(device: Device = "cpu", **fields: Any) -> EngineConfigError:
    with pytest.raises(EngineConfigError) as refused:
        engine_argv(settings(**fields), device)
    return refused.value


def test_missing_folder() -> None:
    error = refusal(model="/no/such/folder")
    assert error.setting == "model"
    assert "TANDEM_LLM__MODEL" in str(error)
    assert "/no/such/folder" in str(error)


def test_folder_without_a_model(tmp_path: Path) -> None:
    assert "no config.json" in str(refusal(model=str(tmp_path)))


def test_config_that_is_not_json(model: Path) -> None:
    (model / "config.json").write_text('{"max_position')
    assert "not JSON" in str(refusal(model=str(model)))


def test_context_longer_than_the_model_has(model: Path) -> None:
    error = refusal(model=str(model), max_model_len=1025)
    assert error.setting == "max_model_len"
    assert "at most 1024" in str(error)
    assert "--max-model-len" in engine_argv(settings(model=str(model), max_model_len=1024), "cpu")


def test_context_of_a_part_of_the_model(tmp_path: Path) -> None:
    write_config(tmp_path / "vision", text_config={"max_position_embeddings": 512})
    assert "at most 512" in str(refusal(model=str(tmp_path / "vision"), max_model_len=513))


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"max_position_embeddings": 512, "rope_scaling": {"type": "yarn", "factor": 4}},
        {"max_position_embeddings": 512, "rope_parameters": {"rope_type": "llama3", "factor": 8}},
    ],
)
def test_context_that_only_vllm_can_tell(tmp_path: Path, content: dict[str, Any]) -> None:
    write_config(tmp_path / "scaled", **content)
    assert "--max-model-len" in engine_argv(settings(model=str(tmp_path / "scaled"), max_model_len=2000), "cpu")


@pytest.mark.parametrize("method", ["awq", "gptq", "compressed-tensors"])
def test_quantization_that_the_model_does_not_have(model: Path, method: str) -> None:
    assert refusal(model=str(model), quantization=method).setting == "quantization"
    write_config(model, quantization_config={"quant_method": method})
    assert "--quantization" in engine_argv(settings(model=str(model), quantization=method), "cpu")


def test_quantization_described_beside_the_model(model: Path) -> None:
    (model / "quantize_config.json").write_text("{}")
    assert "--quantization" in engine_argv(settings(model=str(model), quantization="gptq"), "cpu")


@pytest.mark.parametrize(
    ("fields", "setting"),
    [({"tensor_parallel_size": 2}, "tensor_parallel_size"), ({"quantization": "fp8"}, "quantization")],
)
def test_what_only_gpus_can_do(fields: dict[str, Any], setting: str) -> None:
    assert refusal("cpu", **fields).setting == setting
    assert engine_argv(settings(**fields), "gpu")


@pytest.mark.parametrize(
    "modules",
    [
        [{"name": "a", "path": "org/a"}, {"name": "a", "path": "org/b"}],
        [{"name": "org/some-model", "path": "org/a"}],
        [{"name": "a", "path": "/no/such/adapter"}],
    ],
)
def test_adapters_that_cannot_be_served(modules: list[dict[str, str]]) -> None:
    assert refusal(lora_modules=modules).setting == "lora_modules"


def test_rank_that_no_kernel_has() -> None:
    error = refusal(lora_modules=[{"name": "a", "path": "org/a"}], max_lora_rank=LORA_RANKS[-1] + 1)
    assert error.setting == "max_lora_rank"


def test_missing_chat_template() -> None:
    assert refusal(chat_template="/no/such/template.jinja").setting == "chat_template"


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("--dtype", "TANDEM_LLM__DTYPE"),
        ("--max_model_len=8", "TANDEM_LLM__MAX_MODEL_LEN"),
        ("-tp", "TANDEM_LLM__TENSOR_PARALLEL_SIZE"),
        ("--no-enforce-eager", "TANDEM_LLM__ENFORCE_EAGER"),
        ("--kv-cache-memory-bytes", "TANDEM_LLM__KV_CACHE_GIB"),
        ("--api-key=secret", "keys are the gateway's"),
        ("--port", "the gateway listens"),
    ],
)
def test_extra_arguments_that_have_another_place(argument: str, said: str) -> None:
    error = refusal(extra_args=("--seed", "7", argument))
    assert error.setting == "extra_args"
    assert said in str(error)


@pytest.mark.parametrize(
    ("cause", "device", "setting"),
    [
        ("allocation is less than requested memory for kv (500.0 GiB)", "cpu", "KV_CACHE_GIB"),
        ("No available memory for the cache blocks", "gpu", "GPU_MEMORY_UTILIZATION"),
        ("CUDA out of memory. Tried to allocate 2 GiB", "gpu", "GPU_MEMORY_UTILIZATION"),
        ("We couldn't connect to the hub to load the files", "cpu", "MODEL"),
        ("Model architectures ['X'] are not supported for now", "cpu", "MODEL"),
        ("Reasoning parser 'x' not found", "cpu", "REASONING_PARSER"),
        ("invalid tool call parser: x", "cpu", "TOOL_CALL_PARSER"),
        ("1 validation error for SpeculativeConfig", "cpu", "SPECULATIVE_CONFIG"),
        ("Unknown quantization method: x", "cpu", "QUANTIZATION"),
        ("Total number of attention heads (14) must be divisible by", "gpu", "TENSOR_PARALLEL_SIZE"),
    ],
)
def test_advice(cause: str, device: Device, setting: str) -> None:
    assert advice(cause, device) == f"Change TANDEM_LLM__{setting}."


def test_no_advice_is_better_than_a_guess() -> None:
    assert advice("division by zero", "cpu") == ""
