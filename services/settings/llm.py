"""The language model and its engine."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from services.settings.section import Section

EMBEDDED_LLM = Path(__file__).parent.parent.parent / "models" / "llm" / "embedded"
"""Folder of the language model that ships with Tandem."""


class LoraModule(Section):
    """A LoRA adapter, served as a model of its own name."""

    name: str = Field(description="The name that clients ask for.")
    path: str = Field(description="Folder or hub id of the adapter.")


class LLMSettings(Section):
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
        "auto",
        description="Type of weights and activations. `auto`: the model's own, and float32 for the embedded model "
        "where the processor only emulates bfloat16.",
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
    hung_after: float = Field(
        30.0, gt=0, description="Seconds without a sign of life from the engine after which requests are refused (503)."
    )
    restart_after: float = Field(
        300.0, gt=0, description="Seconds without a sign of life after which the engine is ended and started anew."
    )
    extra_args: tuple[str, ...] = Field(
        (), description='More arguments of `vllm serve`, as on its command line: `["--seed", "7"]`.'
    )
