"""The bundle with nothing counted, timed, logged or traced: what `cost.py` compares with. Served as any other bundle is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from services.gateway import app
from services.telemetry.metrics import Metrics
from services.telemetry.recorder import Telemetry

if TYPE_CHECKING:
    from services.gateway.control.work import Request
    from services.telemetry.access_log import AccessLine
    from services.telemetry.trace_context import Caller


def _begin(self: Telemetry, line: AccessLine, caller: Caller | None = None) -> float:  # noqa: ARG001 - their signature
    return 0.0  # no time to count by: nothing is limited here


def _end(self: Telemetry, began: float, line: AccessLine) -> None:
    """Note nothing."""


def _batch(self: Metrics, model: str, rows: int, waited: float) -> None:
    """Note nothing."""


def _batch_done(self: Metrics, model: str, seconds: float) -> None:
    """Note nothing."""


def _work_for(request: Request) -> None:
    """Keep nothing."""


owner: Any
for owner, name, stand_in in (
    (app, "work_for", _work_for),
    (Telemetry, "begin", _begin),
    (Telemetry, "end", _end),
    (Metrics, "batch", _batch),
    (Metrics, "batch_done", _batch_done),
):
    assert hasattr(owner, name)
    setattr(owner, name, stand_in)

from service import Gateway  # noqa: E402 - only now, so that no request is noted

__all__ = ["Gateway"]
