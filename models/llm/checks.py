"""Settings that cannot work, found before vLLM is started, and advice on what it says when it fails all the same.

vLLM 0.32.0 refuses most of these only after half a minute of loading, and in words of its own flags.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from models.llm.contract import EngineConfigError, expand, is_path, served_name, variable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from models.llm.contract import Device, EngineSettings

LORA_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
"""The ranks that vLLM has kernels for; a setting in between is rounded up."""

_GPU_ONLY_QUANTIZATION = frozenset(
    {"bitsandbytes", "fp8", "fbgemm_fp8", "fp_quant", "gptq_marlin", "awq_marlin", "modelopt", "modelopt_fp4"}
    | {"modelopt_mxfp8", "modelopt_mixed", "mxfp4", "gpt_oss_mxfp4", "mxfp8", "nvfp4_per_token", "deepseek_v4_fp8"}
    | {"fp8_per_tensor", "fp8_per_block", "fp8_per_channel", "humming", "experts_int8"}
)
_QUANTIZED_BEFOREHAND = frozenset(
    {"awq", "auto_awq", "awq_marlin", "gptq", "auto_gptq", "gptq_marlin", "compressed-tensors", "quark"}
)
"""Methods that only load what was quantized when the model was made."""

_OURS = {
    "api-key": "keys are the gateway's: see the README's section on keys",
    "host": "the gateway listens, not vLLM",
    "port": "the gateway listens, not vLLM",
    "uds": "the gateway listens, not vLLM",
    "root-path": "paths are the gateway's",
    "headless": "vLLM runs inside this service",
    "api-server-count": "vLLM runs inside this service",
}
_HAVE_A_FIELD = (
    "model",
    "served-model-name",
    "revision",
    "dtype",
    "max-model-len",
    "max-num-seqs",
    "gpu-memory-utilization",
    "tensor-parallel-size",
    "quantization",
    "enforce-eager",
    "lora-modules",
    "max-lora-rank",
    "tool-call-parser",
    "reasoning-parser",
    "chat-template",
    "speculative-config",
    "trust-remote-code",
)
_FIELD_OF = {name: name.replace("-", "_") for name in _HAVE_A_FIELD} | {
    "kv-cache-memory-bytes": "kv_cache_gib",
    "tp": "tensor_parallel_size",
    "q": "quantization",
    "sc": "speculative_config",
}


def check(settings: EngineSettings, device: Device) -> None:
    """Raise EngineConfigError for the first setting that cannot work on `device`."""
    _check_model(settings)
    if device == "cpu":
        _check_cpu(settings)
    _check_loras(settings)
    if settings.chat_template and not expand(settings.chat_template).is_file():
        raise EngineConfigError(
            f"There is no chat template at {settings.chat_template}: "
            f"set {variable('chat_template')} to an existing file, or unset it for the model's own.",
            setting="chat_template",
        )
    _check_extra(settings.extra_args)


def _check_model(settings: EngineSettings) -> None:
    if not is_path(settings.model):
        return
    folder = expand(settings.model)
    if not folder.is_dir():
        raise EngineConfigError(
            f"There is no folder {settings.model}: set {variable('model')} to a folder with a model or to a hub id.",
            setting="model",
        )
    config = folder / "config.json"
    if not config.is_file():
        raise EngineConfigError(
            f"The folder {settings.model} has no config.json, so it holds no model: set {variable('model')} to one.",
            setting="model",
        )
    content = _read(config)
    longest = _longest_context(content)
    if settings.max_model_len is not None and longest is not None and settings.max_model_len > longest:
        raise EngineConfigError(
            f"The model's longest context is {longest} tokens: set {variable('max_model_len')} to at most "
            f"{longest}, not {settings.max_model_len}.",
            setting="max_model_len",
        )
    if settings.quantization in _QUANTIZED_BEFOREHAND and not _is_quantized(folder, content):
        raise EngineConfigError(
            f"The model in {settings.model} is not quantized, and {settings.quantization} cannot do it while loading: "
            f"unset {variable('quantization')}, or take a quantized model.",
            setting="quantization",
        )


def _read(config: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(config.read_text(encoding="utf-8"))
    except ValueError as error:
        raise EngineConfigError(
            f"{config} is not JSON ({error}): set {variable('model')} to a complete model.", setting="model"
        ) from None
    return content


def _longest_context(content: dict[str, Any]) -> int | None:
    """`max_position_embeddings` where it is the limit; None where rotary scaling moves it, which vLLM computes."""
    text = content.get("text_config") or content
    rope = text.get("rope_parameters") or text.get("rope_scaling") or {}
    if rope.get("rope_type", rope.get("type", "default")) != "default":
        return None
    longest = text.get("max_position_embeddings")
    return longest if isinstance(longest, int) else None


def _is_quantized(folder: Path, content: dict[str, Any]) -> bool:
    files = ("quantize_config.json", "quant_config.json")
    return "quantization_config" in content or any((folder / name).is_file() for name in files)


def _check_cpu(settings: EngineSettings) -> None:
    if settings.tensor_parallel_size > 1:
        raise EngineConfigError(
            f"A model is split over GPUs only: set {variable('tensor_parallel_size')} to 1, "
            f"not {settings.tensor_parallel_size}, on CPU.",
            setting="tensor_parallel_size",
        )
    if settings.quantization in _GPU_ONLY_QUANTIZATION:
        raise EngineConfigError(
            f"Quantization {settings.quantization} needs a GPU: unset {variable('quantization')}, "
            "or take a model quantized with awq, gptq or compressed-tensors.",
            setting="quantization",
        )


def _check_loras(settings: EngineSettings) -> None:
    if settings.lora_modules and settings.max_lora_rank > LORA_RANKS[-1]:
        raise EngineConfigError(
            f"vLLM supports adapters up to rank {LORA_RANKS[-1]}: lower {variable('max_lora_rank')}.",
            setting="max_lora_rank",
        )
    names = {served_name(settings)}
    for lora in settings.lora_modules:
        if lora.name in names:
            raise EngineConfigError(
                f"Two models are called {lora.name}: give each of {variable('lora_modules')} a name of its own.",
                setting="lora_modules",
            )
        names.add(lora.name)
        if is_path(lora.path) and not (expand(lora.path) / "adapter_config.json").is_file():
            raise EngineConfigError(
                f"There is no adapter in {lora.path} (no adapter_config.json): correct the path of {lora.name} in "
                f"{variable('lora_modules')}.",
                setting="lora_modules",
            )


def _check_extra(extra_args: Sequence[str]) -> None:
    for argument in extra_args:
        if not argument.startswith("-") or argument.lstrip("-")[:1].isdigit():
            continue
        flag = argument.lstrip("-").partition("=")[0].replace("_", "-").removeprefix("no-")
        if flag in _OURS:
            raise EngineConfigError(
                f"Remove {argument} from {variable('extra_args')}: {_OURS[flag]}.", setting="extra_args"
            )
        if field := _FIELD_OF.get(flag):
            raise EngineConfigError(
                f"Remove {argument} from {variable('extra_args')}: it has a setting of its own, {variable(field)}.",
                setting="extra_args",
            )


_ADVICE = (
    (r"requested memory for kv|kv cache.*(too small|larger than|needed)|no available memory for the cache", "kv"),
    (r"free memory on device|desired gpu memory", "gpu_memory_utilization"),
    (r"out of memory", "gpu_memory_utilization"),
    (r"couldn't connect|name or service not known|not a valid model identifier|repository not found", "model"),
    (r"architectures .* not supported|safetensor|deserializ|does not appear to have a file named", "model"),
    (r"trust_remote_code", "trust_remote_code"),
    (r"reasoning parser", "reasoning_parser"),
    (r"tool call parser|tool parser", "tool_call_parser"),
    (r"speculative", "speculative_config"),
    (r"quantiz", "quantization"),
    (r"lora", "lora_modules"),
    (r"max_model_len|max seq len|model length", "max_model_len"),
    (r"attention heads|world size|tensor.parallel", "tensor_parallel_size"),
    (r"bfloat16|float16|dtype", "dtype"),
)
"""What vLLM says, and the setting that it is about; the first that matches counts."""


def advice(cause: str, device: Device | None) -> str:
    """Which setting to change when vLLM failed for `cause`, as a sentence; empty when that is not known."""
    for pattern, setting in _ADVICE:
        if re.search(pattern, cause, re.IGNORECASE):
            if setting == "kv":
                setting = "gpu_memory_utilization" if device == "gpu" else "kv_cache_gib"  # noqa: PLW2901 - per device
            return f"Change {variable(setting)}."
    return ""
