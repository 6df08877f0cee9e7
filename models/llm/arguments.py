"""From settings to vLLM's own command line: pure, so that every combination can be tested without an engine.

What vLLM 0.32.0 would refuse only after half a minute of loading, and what it words for its own flags, is checked
here first: `EngineConfigError` names the setting to change.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

Device = Literal["cpu", "gpu"]

EMBEDDED = Path(__file__).parent / "embedded"
"""Folder of the language model that ships with Tandem."""
EMBEDDED_NAME = "tandem-mini"

LORA_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
"""The ranks that vLLM has kernels for; a setting in between is rounded up."""

_GPU_ONLY_QUANTIZATION = frozenset(
    {"bitsandbytes", "fp8", "fbgemm_fp8", "fp_quant", "gptq_marlin", "awq_marlin", "modelopt", "modelopt_fp4"}
    | {"modelopt_mxfp8", "modelopt_mixed", "mxfp4", "gpt_oss_mxfp4", "mxfp8", "nvfp4_per_token", "deepseek_v4_fp8"}
    | {"fp8_per_tensor", "fp8_per_block", "fp8_per_channel", "humming", "experts_int8"}
)
_SMALL_MACHINE_CORES = 4
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


class LoraModule(Protocol):
    """A LoRA adapter: the name that clients ask for, and its folder or hub id."""

    @property
    def name(self) -> str: ...
    @property
    def path(self) -> str: ...


class EngineSettings(Protocol):
    """What is read here; `services.settings.LLMSettings` documents each field."""

    @property
    def model(self) -> str: ...
    @property
    def served_model_name(self) -> str | None: ...
    @property
    def revision(self) -> str | None: ...
    @property
    def dtype(self) -> str: ...
    @property
    def max_model_len(self) -> int | None: ...
    @property
    def max_num_seqs(self) -> int: ...
    @property
    def gpu_memory_utilization(self) -> float | None: ...
    @property
    def kv_cache_gib(self) -> int: ...
    @property
    def tensor_parallel_size(self) -> int: ...
    @property
    def quantization(self) -> str | None: ...
    @property
    def enforce_eager(self) -> bool | None: ...
    @property
    def lora_modules(self) -> Sequence[LoraModule]: ...
    @property
    def max_lora_rank(self) -> int: ...
    @property
    def tool_call_parser(self) -> str | None: ...
    @property
    def reasoning_parser(self) -> str | None: ...
    @property
    def chat_template(self) -> str | None: ...
    @property
    def speculative_config(self) -> Mapping[str, Any] | None: ...
    @property
    def trust_remote_code(self) -> bool: ...
    @property
    def extra_args(self) -> Sequence[str]: ...


class EngineConfigError(ValueError):
    """Settings that cannot work. The message says what to change; `setting` is the field's name in `llm`."""

    def __init__(self, message: str, *, setting: str) -> None:
        super().__init__(message)
        self.setting = setting


def variable(setting: str) -> str:
    """The environment variable of a field of `llm`."""
    return f"TANDEM_LLM__{setting.upper()}"


def served_name(settings: EngineSettings) -> str:
    """The model name that clients ask for."""
    if settings.served_model_name:
        return settings.served_model_name
    if is_path(settings.model) and Path(settings.model).resolve() == EMBEDDED.resolve():
        return EMBEDDED_NAME
    return settings.model


def is_path(model: str) -> bool:
    """Whether `model` means a folder here: it is one, or is written like a path. Hub ids are `name` or `owner/name`."""
    return model.startswith(("/", "./", "../", "~")) or Path(model).is_dir()


def engine_argv(settings: EngineSettings, device: Device) -> list[str]:
    """Write vLLM's command line for `settings`. Raises EngineConfigError for a combination that cannot work."""
    check(settings, device)
    on_cpu = device == "cpu"
    utilization = settings.gpu_memory_utilization or (0.2 if on_cpu else 0.9)
    eager = on_cpu if settings.enforce_eager is None else settings.enforce_eager
    argv = ["--model", _expand(settings.model), "--served-model-name", served_name(settings)]
    argv += ["--dtype", settings.dtype, "--max-num-seqs", str(settings.max_num_seqs)]
    argv += ["--gpu-memory-utilization", str(utilization)]
    argv += ["--tensor-parallel-size", str(settings.tensor_parallel_size)]
    argv.append("--enforce-eager" if eager else "--no-enforce-eager")
    if on_cpu:
        argv += ["--kv-cache-memory-bytes", str(settings.kv_cache_gib * 2**30)]
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
        yield "--chat-template", _expand(settings.chat_template)
    if settings.speculative_config is not None:
        yield "--speculative-config", json.dumps(dict(settings.speculative_config))


def _lora_argv(settings: EngineSettings) -> list[str]:
    if not settings.lora_modules:
        return []
    rank = next(rank for rank in LORA_RANKS if rank >= settings.max_lora_rank)
    modules = [json.dumps({"name": one.name, "path": _expand(one.path)}) for one in settings.lora_modules]
    return ["--enable-lora", "--max-lora-rank", str(rank), "--lora-modules", *modules]


def engine_environment(settings: EngineSettings, device: Device, cores: int) -> dict[str, str]:
    """Environment for vLLM's processes, for what it takes from there only; what the operator has set goes first.

    `cores` is how many this process may use. On CPU, vLLM would give its worker a process of its own; within
    EngineCore it starts ten seconds sooner, takes 600 MB less and a step costs less, and with tensor parallelism ruled
    out there is nothing to part.
    """
    environment = {
        "VLLM_WORKER_MULTIPROC_METHOD": "spawn",
        "VLLM_NO_USAGE_STATS": "1",
        "DO_NOT_TRACK": "1",
    }
    if is_path(settings.model) and all(is_path(lora.path) for lora in settings.lora_modules):
        environment |= {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
    if device == "cpu":
        threads = 1 if cores <= _SMALL_MACHINE_CORES else cores - 1
        environment |= {"VLLM_ENABLE_V1_MULTIPROCESSING": "0", "OMP_NUM_THREADS": str(threads)}
    return environment


def check(settings: EngineSettings, device: Device) -> None:
    """Raise EngineConfigError for the first setting that cannot work on `device`."""
    _check_model(settings)
    if device == "cpu":
        _check_cpu(settings)
    _check_loras(settings)
    if settings.chat_template and not Path(_expand(settings.chat_template)).is_file():
        raise EngineConfigError(
            f"There is no chat template at {settings.chat_template}: "
            f"set {variable('chat_template')} to an existing file, or unset it for the model's own.",
            setting="chat_template",
        )
    _check_extra(settings.extra_args)


def _check_model(settings: EngineSettings) -> None:
    if not is_path(settings.model):
        return
    folder = Path(_expand(settings.model))
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
    longest = _longest_context(config)
    if settings.max_model_len is not None and longest is not None and settings.max_model_len > longest:
        raise EngineConfigError(
            f"The model's longest context is {longest} tokens: set {variable('max_model_len')} to at most "
            f"{longest}, not {settings.max_model_len}.",
            setting="max_model_len",
        )


def _longest_context(config: Path) -> int | None:
    """`max_position_embeddings` where it is the limit; None where rotary scaling moves it, which vLLM computes."""
    try:
        content = json.loads(config.read_text(encoding="utf-8"))
    except ValueError as error:
        raise EngineConfigError(
            f"{config} is not JSON ({error}): set {variable('model')} to a complete model.", setting="model"
        ) from None
    text = content.get("text_config") or content
    rope = text.get("rope_parameters") or text.get("rope_scaling") or {}
    if rope.get("rope_type", rope.get("type", "default")) != "default":
        return None
    longest = text.get("max_position_embeddings")
    return longest if isinstance(longest, int) else None


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
        if is_path(lora.path) and not (Path(_expand(lora.path)) / "adapter_config.json").is_file():
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


def _expand(path: str) -> str:
    return str(Path(path).expanduser()) if path.startswith("~") else path
