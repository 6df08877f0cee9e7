"""What Tandem says of the requests it answers: log lines and traces."""

from __future__ import annotations

from pydantic import Field

from services.settings.section import Section


class LogsSettings(Section):
    """The line that `gateway.access_log` writes for each request; see `docs/observability.md`."""

    sample_ratio: float = Field(
        1.0, ge=0, le=1, description="Share of the successful requests that get a line; failed and slow ones always do."
    )
    slow_seconds: float = Field(1.0, ge=0, description="A request that took at least so many seconds is slow.")
