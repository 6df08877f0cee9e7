"""How a server that was asked to stop takes its leave."""

from __future__ import annotations

from pydantic import Field

from services.settings.section import Section


class DrainSettings(Section):
    """What happens between SIGTERM and the end; see `docs/operations.md`."""

    delay: float = Field(
        1.0,
        ge=0,
        description="Seconds in which readiness says no and requests are still taken, so that load balancers notice; then new ones get 503. Ctrl-C skips it.",
    )
    timeout: float = Field(
        20.0, ge=0, description="Seconds after those that requests and streams under way have to finish; then 503."
    )
