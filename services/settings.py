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

from pydantic import BaseModel, ConfigDict, Field, SecretStr
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


class KeysSettings(_Section):
    """API keys: who may ask. `python -m scripts.keys` makes and withdraws them; see `docs/security.md`."""

    file: Path = Field(
        Path("tandem-keys.json"),
        description="File with the hashes of the keys, used unless `redis.url` is set. Where it exists, a key is needed.",
    )
    poll_interval: float = Field(
        0.25, gt=0, le=0.5, description="Seconds between two looks for changed keys; a revoked key lives so long."
    )


class RatesSettings(_Section):
    """How much; what is not given is not limited."""

    requests_per_minute: int | None = Field(None, ge=1, description="Requests begun within a minute.")
    tokens_per_minute: int | None = Field(
        None, ge=1, description="Tokens of prompts and answers within a minute, for the language model."
    )
    concurrent_requests: int | None = Field(None, ge=1, description="Requests under way at once.")

    def __bool__(self) -> bool:
        """Whether anything is limited."""
        return bool(self.requests_per_minute or self.tokens_per_minute or self.concurrent_requests)


class LimitsSettings(_Section):
    """How much callers may ask for. A caller is a key, or an address where no keys are needed."""

    caller: RatesSettings = Field(
        RatesSettings(), description="For each caller, over all models; a key's own limits come before these."
    )
    caller_models: dict[str, RatesSettings] = Field(
        default_factory=dict, description="For each caller on one model, by the model's name."
    )
    models: dict[str, RatesSettings] = Field(
        default_factory=dict, description="For one model, over all callers, by the model's name."
    )
    algorithm: Literal["fixed_window", "sliding_window", "token_bucket"] = Field(
        "sliding_window",
        description="What a minute is: one of the clock's, the last sixty seconds (with the minute before weighed in), or a supply that fills up steadily.",
    )
    ledger: Path | None = Field(
        None,
        description="File in which the gateway's workers count together when there is no Redis. Default: a temporary one for each server; give servers on one machine the same one to count together.",
    )
    ledger_slots: int = Field(
        4096, ge=64, description="Callers and models that the ledger keeps apart at once; 136 bytes each."
    )
    on_store_failure: Literal["fail_open", "fail_closed"] = Field(
        "fail_closed",
        description="While Redis or the ledger cannot be used: let everybody in unlimited, or nobody (503).",
    )


class AdmissionSettings(_Section):
    """How much may be under way and wait. Each is for the whole server, whose workers get equal parts."""

    llm_in_flight: int = Field(256, ge=1, description="Requests under way at the language model.")
    llm_tokens_in_flight: int = Field(
        4_000_000,
        ge=1,
        description="Tokens that those may use together, estimated from above; a larger one goes alone.",
    )
    llm_queue: int = Field(1024, ge=1, description="Requests that may wait for the language model; past that, 429.")
    explain_in_flight: int = Field(32, ge=1, description="Attributions under way at the Classifier.")
    explain_queue: int = Field(256, ge=1, description="Attributions that may wait; past that, 429.")
    patience: float = Field(
        30.0, gt=0, description="Longest wait for the language model or an attribution, in seconds; then 429."
    )
    llm_max_body_bytes: int = Field(
        4 * 2**20, ge=1024, description="Largest request to the language model, in bytes; a larger one gets 413."
    )
    max_messages: int = Field(2048, ge=1, description="Most messages or inputs in one request; more gets 400.")
    max_new_tokens: int | None = Field(
        None, ge=1, description="Most tokens that one request may ask for, over all its answers; more gets 400."
    )
    assumed_new_tokens: int = Field(
        1024, ge=1, description="Tokens reserved for an answer when its request names no `max_tokens`."
    )


class RedisSettings(_Section):
    """A Redis that keeps keys and limits for gateways on several machines."""

    url: SecretStr | None = Field(
        None, description="`redis://` or `rediss://` address; default: files on this machine."
    )
    prefix: str = Field("tandem", pattern="^[a-z0-9_-]+$", description="Begins every name that is used in Redis.")
    timeout: float = Field(0.25, gt=0, description="Seconds that Redis has to answer before it counts as down.")
    retry_interval: float = Field(1.0, gt=0, description="Seconds between two tries while it is down.")


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
    keys: KeysSettings = KeysSettings()
    limits: LimitsSettings = LimitsSettings()
    admission: AdmissionSettings = AdmissionSettings()
    redis: RedisSettings = RedisSettings()
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
