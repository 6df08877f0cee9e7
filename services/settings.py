"""Every setting of the bundle, documented by field, read once and frozen.

A value comes from, in order: the environment (prefix ``TANDEM_``, ``__`` between levels, as in
``TANDEM_LLM__MODEL``), then ``tandem.yaml`` in the working folder (or the file that ``TANDEM_CONFIG`` names),
then the default here. Nothing else in Tandem reads the environment.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    YamlConfigSettingsSource,
)

EMBEDDED_LLM = Path(__file__).parent.parent / "models" / "llm" / "embedded"
"""Folder of the language model that ships with Tandem."""


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class GatewaySettings(_Section):
    """The entry service: HTTP, protocols, and the way to the models."""

    workers: int = Field(
        1, ge=1, description="Gateway processes. One saturates two cores; give more on larger machines."
    )
    grpc_port: int = Field(
        3001, ge=0, le=65_535, description="Port for gRPC, on the address that HTTP listens on; 0 turns gRPC off."
    )
    max_body_bytes: int = Field(
        16 * 2**20,
        ge=1024,
        description="Largest request body or gRPC message, in bytes; a larger one gets 413 or RESOURCE_EXHAUSTED.",
    )
    max_rows: int = Field(10_000, ge=1, description="Most rows in one request; more gets 400.")
    request_timeout: float = Field(
        60.0, gt=0, description="Seconds a classical prediction may take, queueing included; then 504."
    )
    connect_timeout: float = Field(2.0, gt=0, description="Seconds to reach a dependency before it counts as down.")
    llm_idle_timeout: float = Field(
        120.0, gt=0, description="Seconds without one byte from the LLM after which its answer is given up; then 504."
    )
    access_log: bool = Field(True, description="Write one JSON line a request to standard output.")
    probe_interval: float = Field(0.5, gt=0, description="Seconds between two looks at each dependency's health.")
    probe_timeout: float = Field(0.8, gt=0, le=1, description="Seconds a dependency has to answer such a look.")


class BatchingSettings(_Section):
    """How concurrent rows for one model are coalesced into one call."""

    max_rows: int = Field(1024, ge=1, description="Most rows in one batch.")
    max_in_flight: int = Field(2, ge=1, description="Batches of one model under way at once.")
    max_queued_rows: int = Field(
        50_000, ge=1, description="Rows of one model that may wait; past that, 429 with Retry-After."
    )


class ClassifierSettings(_Section):
    """The classical models' service."""

    workers: int = Field(1, ge=1, description="Classifier processes.")
    threads: int = Field(1, ge=1, description="Threads that torch, XGBoost and ONNX Runtime may use in each process.")
    max_batch_size: int = Field(
        1024, ge=1, description="Most rows in one batch of the BentoML APIs (`batchable=True`)."
    )


class ModelsSettings(_Section):
    """Which of the stored models and versions are served."""

    pinned: dict[str, str] = Field(
        default_factory=dict,
        description="Version that a model's bare name stands for, by model name; default: its newest version.",
    )
    load_timeout: float = Field(
        120.0, gt=0, description="Seconds that every Classifier process may take to load a model at run time."
    )


class LoraModule(_Section):
    """A LoRA adapter, served as a model of its own name."""

    name: str = Field(description="The name that clients ask for.")
    path: str = Field(description="Folder or hub id of the adapter.")


class LLMSettings(_Section):
    """The language model and vLLM's engine. `extra_args` reaches any vLLM option that has no field here."""

    model: str = Field(str(EMBEDDED_LLM), description="A local folder or a hub id.")
    served_model_name: str | None = Field(
        None, description="Name that clients ask for. Default: `tandem-mini` for the embedded model, else `model`."
    )
    revision: str | None = Field(None, description="Branch, tag or commit of a hub model.")
    device: Literal["auto", "cpu", "gpu"] = Field(
        "auto", description="`auto` takes a GPU when one is there and the GPU build of vLLM is installed."
    )
    dtype: Literal["auto", "bfloat16", "float16", "float32"] = Field(
        "auto", description="Type of weights and activations."
    )
    max_model_len: int | None = Field(None, ge=1, description="Context length in tokens; default: the model's own.")
    max_num_seqs: int = Field(64, ge=1, description="Sequences that run in one step; more wait inside vLLM.")
    gpu_memory_utilization: float | None = Field(
        None, gt=0, le=1, description="Share of GPU memory (of RAM on CPU) for vLLM. Default: 0.9 on GPU, 0.2 on CPU."
    )
    kv_cache_gib: int = Field(1, ge=1, description="Size of the KV cache on CPU, in GiB.")
    tensor_parallel_size: int = Field(1, ge=1, description="GPUs that one model is split over.")
    quantization: str | None = Field(None, description="vLLM's quantization method, such as `awq`, `gptq` or `fp8`.")
    enforce_eager: bool | None = Field(None, description="Skip graph capture and compilation. Default: true on CPU.")
    lora_modules: tuple[LoraModule, ...] = Field((), description="LoRA adapters, each a model of its own name.")
    max_lora_rank: int = Field(16, ge=1, description="Largest rank among the adapters.")
    tool_call_parser: str | None = Field(
        None, description="vLLM's parser for tool calls; turns on automatic tool choice."
    )
    reasoning_parser: str | None = Field(None, description="vLLM's parser for reasoning content.")
    chat_template: str | None = Field(None, description="Path of a chat template instead of the model's own.")
    speculative_config: dict[str, Any] | None = Field(None, description="vLLM's speculative decoding settings.")
    trust_remote_code: bool = Field(
        False, description="Run code that comes with a hub model. Only for models you trust."
    )
    extra_args: tuple[str, ...] = Field(
        (), description='More arguments of `vllm serve`, as on its command line: `["--seed", "7"]`.'
    )


class _Sources(BaseSettings):
    """Shared source order of the tree."""

    model_config = SettingsConfigDict(
        env_prefix="TANDEM_",
        env_nested_delimiter="__",
        frozen=True,
        extra="forbid",
        nested_model_default_partial_update=True,
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        config = Path(os.environ.get("TANDEM_CONFIG", "tandem.yaml"))
        return (init_settings, env_settings, YamlConfigSettingsSource(settings_cls, yaml_file=config))


class Settings(_Sources):
    """The whole tree."""

    gateway: GatewaySettings = GatewaySettings()
    batching: BatchingSettings = BatchingSettings()
    classifier: ClassifierSettings = ClassifierSettings()
    models: ModelsSettings = ModelsSettings()
    llm: LLMSettings = LLMSettings()
    config: str | None = Field(
        None, description="Path of the YAML file with settings; default `tandem.yaml` where it exists."
    )
    auth: Literal["keys", "off"] = Field(
        "keys",
        description="`off` lets anybody in, wherever the server listens. Unset and without keys, only loopback may be bound.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least severe log line that is written."
    )


@cache
def load_settings() -> Settings:
    """The settings of this process, read at the first call."""
    return Settings()


def shared_metrics_folder() -> Path | None:
    """Where BentoML lets all processes of a server write their metrics; None when this process is alone."""
    folder = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
    return Path(folder) if folder else None
