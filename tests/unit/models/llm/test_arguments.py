from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from models.llm.arguments import engine_argv, engine_environment
from models.llm.contract import EMBEDDED, EMBEDDED_NAME, Device, served_name
from services.settings.llm import EMBEDDED_LLM, LLMSettings, LoraModule
from tests.unit.models.llm.named import settings, write_config

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    folder = tmp_path / "adapter"
    folder.mkdir()
    (folder / "adapter_config.json").write_text("{}")
    return folder


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"model": "org/other"}, ["--model", "org/other"]),
        ({"model": "org/other"}, ["--served-model-name", "org/other"]),
        ({"served_model_name": "mine"}, ["--served-model-name", "mine"]),
        ({"revision": "v1"}, ["--revision", "v1"]),
        ({}, ["--dtype", "auto"]),
        ({"dtype": "float32"}, ["--dtype", "float32"]),
        ({"max_model_len": 2048}, ["--max-model-len", "2048"]),
        ({"max_num_seqs": 7}, ["--max-num-seqs", "7"]),
        ({"gpu_memory_utilization": 0.5}, ["--gpu-memory-utilization", "0.5"]),
        ({"quantization": "awq"}, ["--quantization", "awq"]),
        ({"tool_call_parser": "hermes"}, ["--tool-call-parser", "hermes"]),
        ({"tool_call_parser": "hermes"}, ["--enable-auto-tool-choice"]),
        ({"reasoning_parser": "qwen3"}, ["--reasoning-parser", "qwen3"]),
        ({"trust_remote_code": True}, ["--trust-remote-code"]),
        ({"speculative_config": {"method": "ngram"}}, ["--speculative-config", '{"method": "ngram"}']),
        ({"extra_args": ("--seed", "7")}, ["--seed", "7"]),
        ({"extra_args": ("--logprobs-mode=raw_logits", "-5")}, ["--logprobs-mode=raw_logits", "-5"]),
    ],
)
@pytest.mark.parametrize("device", ["cpu", "gpu"])
def test_every_field_reaches_vllm(device: Device, fields: dict[str, Any], expected: list[str]) -> None:
    argv = engine_argv(settings(**fields), device)
    at = argv.index(expected[0]) if len(expected) == 1 else max(i for i, one in enumerate(argv) if one == expected[0])
    assert argv[at : at + len(expected)] == expected


@pytest.mark.parametrize(
    ("device", "fields", "expected"),
    [
        ("cpu", {}, ["--enforce-eager"]),
        ("cpu", {"enforce_eager": False}, ["--no-enforce-eager"]),
        ("gpu", {}, ["--no-enforce-eager"]),
        ("gpu", {"enforce_eager": True}, ["--enforce-eager"]),
        ("cpu", {}, ["--gpu-memory-utilization", "0.2"]),
        ("gpu", {}, ["--gpu-memory-utilization", "0.9"]),
        ("cpu", {"kv_cache_gib": 3}, ["--kv-cache-memory-bytes", str(3 * 2**30)]),
        ("gpu", {"tensor_parallel_size": 4}, ["--tensor-parallel-size", "4"]),
    ],
)
def test_defaults_of_each_device(device: Device, fields: dict[str, Any], expected: list[str]) -> None:
    argv = engine_argv(settings(**fields), device)
    at = argv.index(expected[0])
    assert argv[at : at + len(expected)] == expected


def test_the_cache_of_a_gpu_is_what_memory_is_left() -> None:
    assert "--kv-cache-memory-bytes" not in engine_argv(settings(kv_cache_gib=3), "gpu")


@pytest.mark.parametrize(
    "flag",
    [
        "--revision",
        "--max-model-len",
        "--quantization",
        "--tool-call-parser",
        "--enable-auto-tool-choice",
        "--reasoning-parser",
        "--chat-template",
        "--speculative-config",
        "--trust-remote-code",
        "--enable-lora",
        "--lora-modules",
    ],
)
def test_what_is_unset_is_left_to_vllm(flag: str) -> None:
    assert flag not in engine_argv(settings(), "cpu")


def test_adapters(adapter: Path) -> None:
    modules = (LoraModule(name="polite", path=str(adapter)), LoraModule(name="terse", path="org/terse"))
    argv = engine_argv(settings(lora_modules=modules, max_lora_rank=20), "cpu")
    assert argv[argv.index("--max-lora-rank") + 1] == "32"
    assert "--enable-lora" in argv
    at = argv.index("--lora-modules") + 1
    assert [json.loads(one) for one in argv[at : at + 2]] == [
        {"name": "polite", "path": str(adapter)},
        {"name": "terse", "path": "org/terse"},
    ]


def test_extra_arguments_come_last_where_adapters_cannot_swallow_them(adapter: Path) -> None:
    modules = (LoraModule(name="polite", path=str(adapter)),)
    argv = engine_argv(settings(lora_modules=modules, extra_args=("--seed", "7")), "cpu")
    assert argv[-2:] == ["--seed", "7"]


def test_paths_may_start_at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    write_config(tmp_path / "model")
    (tmp_path / "chat.jinja").write_text("{{ messages }}")
    argv = engine_argv(settings(model="~/model", chat_template="~/chat.jinja"), "cpu")
    assert argv[argv.index("--model") + 1] == str(tmp_path / "model")
    assert argv[argv.index("--chat-template") + 1] == str(tmp_path / "chat.jinja")


def test_the_embedded_model_has_its_own_name() -> None:
    assert EMBEDDED_LLM.resolve() == EMBEDDED.resolve()
    assert served_name(LLMSettings()) == EMBEDDED_NAME == "tandem-mini"
    assert served_name(LLMSettings(served_model_name="other")) == "other"
    assert served_name(settings()) == "org/some-model"


def test_environment_of_a_model_on_disk_needs_no_network(model: Path, adapter: Path) -> None:
    local = engine_environment(settings(model=str(model)), "gpu", cores=8)
    assert local["HF_HUB_OFFLINE"] == local["TRANSFORMERS_OFFLINE"] == "1"
    polite = (LoraModule(name="polite", path=str(adapter)),)
    assert "HF_HUB_OFFLINE" in engine_environment(settings(model=str(model), lora_modules=polite), "cpu", cores=8)
    terse = (LoraModule(name="terse", path="org/terse"),)
    assert "HF_HUB_OFFLINE" not in engine_environment(settings(model=str(model), lora_modules=terse), "cpu", cores=8)
    assert "HF_HUB_OFFLINE" not in engine_environment(settings(), "cpu", cores=8)


@pytest.mark.parametrize(("cores", "threads"), [(1, "1"), (2, "1"), (4, "3"), (32, "31")])
def test_threads_leave_a_core_to_the_streams(cores: int, threads: str) -> None:
    environment = engine_environment(settings(), "cpu", cores)
    assert environment["OMP_NUM_THREADS"] == threads
    assert environment["VLLM_ENABLE_V1_MULTIPROCESSING"] == "0"
    assert engine_environment(LLMSettings(), "cpu", cores)["OMP_NUM_THREADS"] == "1"


def test_no_request_waits_for_a_compiler_unless_compiling_was_asked_for() -> None:
    assert engine_environment(settings(), "cpu", cores=2)["TORCH_COMPILE_DISABLE"] == "1"
    assert "TORCH_COMPILE_DISABLE" not in engine_environment(settings(enforce_eager=False), "cpu", cores=2)
    assert "TORCH_COMPILE_DISABLE" not in engine_environment(settings(), "gpu", cores=2)


def test_environment_on_a_gpu_leaves_threads_and_processes_to_vllm() -> None:
    environment = engine_environment(settings(), "gpu", cores=32)
    assert not {"OMP_NUM_THREADS", "VLLM_ENABLE_V1_MULTIPROCESSING"} & environment.keys()
    assert environment["VLLM_NO_USAGE_STATS"] == environment["DO_NOT_TRACK"] == "1"


def test_only_the_embedded_model_is_kept_from_spaces_in_json(model: Path) -> None:
    assert "--structured-outputs-config" in engine_argv(LLMSettings(), "cpu")
    assert "--structured-outputs-config" not in engine_argv(LLMSettings(model=str(model)), "cpu")


def dtype_of(one: LLMSettings, device: Device, *, bfloat16: bool) -> str:
    argv = engine_argv(one, device, bfloat16=bfloat16)
    return argv[argv.index("--dtype") + 1]


def test_embedded_model_runs_in_float32_where_bfloat16_is_emulated(model: Path) -> None:
    assert dtype_of(LLMSettings(), "cpu", bfloat16=False) == "float32"
    assert dtype_of(LLMSettings(), "cpu", bfloat16=True) == "auto"
    assert dtype_of(LLMSettings(), "gpu", bfloat16=False) == "auto"
    assert dtype_of(LLMSettings(dtype="bfloat16"), "cpu", bfloat16=False) == "bfloat16"
    assert dtype_of(LLMSettings(model=str(model)), "cpu", bfloat16=False) == "auto"
