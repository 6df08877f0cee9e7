"""What Tandem says of the requests it answers: log lines and traces."""

from __future__ import annotations

from pydantic import Field, SecretStr

from services.settings.section import Section


class LogsSettings(Section):
    """The line that `gateway.access_log` writes for each request; see `docs/observability.md`."""

    sample_ratio: float = Field(
        1.0, ge=0, le=1, description="Share of the successful requests that get a line; failed and slow ones always do."
    )
    slow_seconds: float = Field(1.0, ge=0, description="A request that took at least so many seconds is slow.")


class TracingSettings(Section):
    """Traces of requests, sent by OTLP; see `docs/observability.md`. Without an endpoint there are none."""

    endpoint: str | None = Field(
        None,
        pattern="^https?://[^/]+",
        description="Address of an OpenTelemetry collector that takes OTLP over HTTP, such as `http://127.0.0.1:4318`; `/v1/traces` is added.",
    )
    headers: dict[str, SecretStr] = Field(
        default_factory=dict, description="Headers that go with every export, such as a collector's API key."
    )
    sample_ratio: float = Field(
        1.0, ge=0, le=1, description="Share of the requests that are traced when their caller has not decided."
    )
    follow_caller: bool = Field(
        True,
        description="Trace whatever a caller's `traceparent` says is sampled. With `false`, `sample_ratio` decides about these too; what a caller does not sample is never traced.",
    )
    capture_content: bool = Field(
        False, description="Put prompts and answers of the language model into its spans. Without it, no content ever."
    )
    queue_size: int = Field(
        4096,
        ge=1,
        description="Ended spans of one process that may wait for the collector; more are dropped.",
    )
    export_interval: float = Field(
        5.0,
        gt=0,
        le=3600,
        description="Seconds between two exports, as in OpenTelemetry's own SDK; many spans go before.",
    )
    timeout: float = Field(5.0, gt=0, description="Seconds that a request to the collector may take, retries included.")

    @property
    def traces_url(self) -> str:
        """Where spans go."""
        return f"{(self.endpoint or '').rstrip('/')}/v1/traces"
