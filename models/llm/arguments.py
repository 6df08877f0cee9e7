"""From settings to vLLM's own command line: pure, so that every combination can be tested without an engine."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from models.llm.checks import LORA_RANKS, check
from models.llm.contract import expand, is_embedded, is_path, served_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from models.llm.contract import Device, EngineSettings

__all__ = ["engine_argv", "engine_environment", "served_name"]

COMPACT_JSON = {"backend": "guidance", "disable_any_whitespace": True}
"""How the embedded model writes JSON by a schema: free to put spaces, so small a model may put nothing else.

vLLM's first choice, xgrammar, leaves out tokens that a schema allows (0.2.8: `declined_last_day`, where `day` is a token as well). A
large model spells such a name in other tokens; one that never saw it spelled so goes wrong.
"""


def engine_argv(settings: EngineSettings, device: Device, *, bfloat16: bool = True) -> list[str]:
    """Write vLLM's command line for `settings`. Raises EngineConfigError for a combination that cannot work.

    `bfloat16` says whether the processor multiplies that type itself. Where it is emulated the embedded model, which is
    stored so, runs in float32: up to 3.6 times as fast, for 7 MB more. What that costs a large model is its operator's choice.
    """
    check(settings, device)
    on_cpu = device == "cpu"
    utilization = settings.gpu_memory_utilization or (0.2 if on_cpu else 0.9)
    eager = on_cpu if settings.enforce_eager is None else settings.enforce_eager
    argv = ["--model", _path(settings.model), "--served-model-name", served_name(settings)]
    slow = on_cpu and not bfloat16 and is_embedded(settings)
    dtype = "float32" if slow and settings.dtype == "auto" else settings.dtype
    argv += ["--dtype", dtype, "--max-num-seqs", str(settings.max_num_seqs)]
    argv += ["--gpu-memory-utilization", str(utilization)]
    argv += ["--tensor-parallel-size", str(settings.tensor_parallel_size)]
    argv.append("--enforce-eager" if eager else "--no-enforce-eager")
    if on_cpu:
        argv += ["--kv-cache-memory-bytes", str(settings.kv_cache_gib * 2**30)]
    if is_embedded(settings):
        argv += ["--structured-outputs-config", json.dumps(COMPACT_JSON)]
    for flag, value in _optional(settings):
        argv += [flag, value]
    if settings.tool_call_parser:
        argv.append("--enable-auto-tool-choice")
    if settings.trust_remote_code:
        argv.append("--trust-remote-code")
    argv += _lora_argv(settings)
    return [*argv, *settings.extra_args]


def _optional(settings: EngineSettings) -> Iterator[tuple[str, str]]:
    if settings.revision:
        yield "--revision", settings.revision
    if settings.max_model_len is not None:
        yield "--max-model-len", str(settings.max_model_len)
    if settings.quantization:
        yield "--quantization", settings.quantization
    if settings.tool_call_parser:
        yield "--tool-call-parser", settings.tool_call_parser
    if settings.reasoning_parser:
        yield "--reasoning-parser", settings.reasoning_parser
    if settings.chat_template:
        yield "--chat-template", _path(settings.chat_template)
    if settings.speculative_config is not None:
        yield "--speculative-config", json.dumps(dict(settings.speculative_config))


def _lora_argv(settings: EngineSettings) -> list[str]:
    if not settings.lora_modules:
        return []
    rank = next(rank for rank in LORA_RANKS if rank >= settings.max_lora_rank)
    modules = [json.dumps({"name": one.name, "path": _path(one.path)}) for one in settings.lora_modules]
    return ["--enable-lora", "--max-lora-rank", str(rank), "--lora-modules", *modules]


def engine_environment(settings: EngineSettings, device: Device, cores: int) -> dict[str, str]:
    """Environment for vLLM's processes, for what it takes from there only; what the operator has set goes first.

    `cores` is how many this process may use. On CPU, vLLM would give its worker a process of its own; within
    EngineCore it starts ten seconds sooner, takes 600 MB less and a step costs less, and with tensor parallelism ruled
    out there is nothing to part. One core is left to the process that streams; a model as small as the embedded one
    is faster on a single thread anyway, and far faster when another process wants the core.

    vLLM leaves small functions (ranks of log probabilities, some samplers) to torch.compile even where its option says
    eager: the first request that needs one would hold up all others while a C++ compiler runs, and end the engine
    where there is none.
    """
    environment = {
        "VLLM_WORKER_MULTIPROC_METHOD": "spawn",
        "VLLM_NO_USAGE_STATS": "1",
        "DO_NOT_TRACK": "1",
    }
    if is_path(settings.model) and all(is_path(lora.path) for lora in settings.lora_modules):
        environment |= {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
    if device == "cpu":
        threads = 1 if is_embedded(settings) else max(1, cores - 1)
        environment |= {"VLLM_ENABLE_V1_MULTIPROCESSING": "0", "OMP_NUM_THREADS": str(threads)}
        if settings.enforce_eager is not False:
            environment["TORCH_COMPILE_DISABLE"] = "1"
    return environment


def _path(model: str) -> str:
    return str(expand(model)) if model.startswith("~") else model
