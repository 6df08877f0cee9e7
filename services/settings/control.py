"""Who may ask, how much, and what may be under way and wait."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr

from services.settings.section import Section


class KeysSettings(Section):
    """API keys: who may ask. `python -m scripts.keys` makes and withdraws them; see `docs/security.md`."""

    file: Path = Field(
        Path("tandem-keys.json"),
        description="File with the hashes of the keys, used unless `redis.url` is set. Where it exists, a key is needed.",
    )
    poll_interval: float = Field(
        0.25, gt=0, le=0.5, description="Seconds between two looks for changed keys; a revoked key lives so long."
    )


class RatesSettings(Section):
    """How much; what is not given is not limited."""

    requests_per_minute: int | None = Field(None, ge=1, description="Requests begun within a minute.")
    tokens_per_minute: int | None = Field(
        None, ge=1, description="Tokens of prompts and answers within a minute, for the language model."
    )
    concurrent_requests: int | None = Field(None, ge=1, description="Requests under way at once.")

    def __bool__(self) -> bool:
        """Whether anything is limited."""
        return bool(self.requests_per_minute or self.tokens_per_minute or self.concurrent_requests)


class LimitsSettings(Section):
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
        4096, ge=64, description="Callers and models that the ledger keeps apart at once; in a file 136 bytes each."
    )
    on_store_failure: Literal["fail_open", "fail_closed"] = Field(
        "fail_closed",
        description="While Redis or the ledger cannot be used: let everybody in unlimited, or nobody (503).",
    )


class AdmissionSettings(Section):
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


class RedisSettings(Section):
    """A Redis that keeps keys and limits for gateways on several machines."""

    url: SecretStr | None = Field(
        None, description="`redis://` or `rediss://` address; default: files on this machine."
    )
    prefix: str = Field("tandem", pattern="^[a-z0-9_-]+$", description="Begins every name that is used in Redis.")
    timeout: float = Field(0.25, gt=0, description="Seconds that Redis has to answer before it counts as down.")
    retry_interval: float = Field(1.0, gt=0, description="Seconds between two tries while it is down.")
