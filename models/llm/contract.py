"""What the language model's modules read of the settings, and how they refuse them. Imports nothing heavy."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Device = Literal["cpu", "gpu"]

EMBEDDED = Path(__file__).parent / "embedded"
"""Folder of the language model that ships with Tandem."""
EMBEDDED_NAME = "tandem-mini"


class LoraModule(Protocol):
    """A LoRA adapter: the name that clients ask for, and its folder or hub id."""

    @property
    def name(self) -> str: ...
    @property
    def path(self) -> str: ...


class EngineSettings(Protocol):
    """What is read here; `services.settings.llm.LLMSettings` documents each field."""

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
    if is_embedded(settings):
        return EMBEDDED_NAME
    return settings.model


def is_path(model: str) -> bool:
    """Whether `model` means a folder here: it is one, or is written like a path. Hub ids are `name` or `owner/name`."""
    return model.startswith(("/", "./", "../", "~")) or Path(model).is_dir()


def is_embedded(settings: EngineSettings) -> bool:
    """Whether the model is the one that ships with Tandem."""
    return is_path(settings.model) and expand(settings.model).resolve() == EMBEDDED.resolve()


def expand(path: str) -> Path:
    """A path from the settings, `~` understood."""
    return Path(path).expanduser()
