"""The entry service, and how it batches rows."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from services.settings.section import Section

_ORIGIN = r"^https?://[^/?#@\s]+/?$"


class GatewaySettings(Section):
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
    classifier_url: str | None = Field(
        None,
        pattern=_ORIGIN,
        description="Address of a Classifier that runs elsewhere, `http://host:port` or `https://...`; calls are spread over all addresses of the host. Default: one is started and found by BentoML.",
    )
    llm_url: str | None = Field(
        None, pattern=_ORIGIN, description="Address of an LLM that runs elsewhere, as for `classifier_url`."
    )
    ready_when: Literal["all", "any"] = Field(
        "all",
        description="`/readyz` says yes when all dependencies are ready, or when `any` is, so that one of them alone takes no gateway out of service.",
    )
    access_log: bool = Field(True, description="Write one JSON line a request to standard output.")
    probe_interval: float = Field(0.5, gt=0, description="Seconds between two looks at each dependency's health.")
    probe_timeout: float = Field(0.8, gt=0, le=1, description="Seconds a dependency has to answer such a look.")


class BatchingSettings(Section):
    """How concurrent rows for one model are coalesced into one call."""

    max_rows: int = Field(1024, ge=1, description="Most rows in one batch.")
    max_in_flight: int = Field(2, ge=1, description="Batches of one model under way at once.")
    max_queued_rows: int = Field(
        50_000, ge=1, description="Rows of one model that may wait; past that, 429 with Retry-After."
    )
