"""What operators and orchestrators ask: is it alive, is it ready, how is it, what has it done."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec

from services.runtime import METRICS_HEADERS
from services.telemetry.exposition import Facts

if TYPE_CHECKING:
    from services.gateway.dataplane import DataPlane
    from services.gateway.exchange import Exchange
    from services.telemetry.recorder import Telemetry


class OperationsRoutes:
    """Handlers of the operational endpoints."""

    def __init__(self, dataplane: DataPlane, telemetry: Telemetry) -> None:
        self._dataplane = dataplane
        self._telemetry = telemetry

    async def live(self, exchange: Exchange) -> None:
        """`/livez` and `/healthz`: the process answers."""
        await exchange.json(200, b'{"status":"alive"}')

    async def ready(self, exchange: Exchange) -> None:
        """`/readyz`: 200 when every dependency answers and takes requests (or, where the settings say so, when one does),
        else 503; and which does not, and why.

        The gateway asks them itself, with a bound: BentoML's own `/readyz` hangs while a dependency is dead.
        """
        seen = await self._dataplane.health()
        ready = self._dataplane.ready(seen)
        body = {
            "ready": ready,
            "dependencies": {name: {"state": health.state, "reason": health.reason} for name, health in seen.items()},
        }
        headers = () if ready else ((b"retry-after", b"5"),)
        await exchange.json(200 if ready else 503, msgspec.json.encode(body), headers)

    async def health(self, exchange: Exchange) -> None:
        """`/health`: models, load and GPU memory."""
        seen = await self._dataplane.health()
        llm = seen["llm"].detail
        specs = self._dataplane.specs.values() if seen["classifier"].ready else ()
        served = {spec.name: spec.version for spec in specs}
        body = {
            "ready": self._dataplane.ready(seen),
            "classifier": {"state": seen["classifier"].state, "models": served},
            "llm": {"state": seen["llm"].state, "reason": seen["llm"].reason, "models": llm.get("models", [])},
            "active_requests": self._telemetry.active,
            "gpu_memory": llm.get("gpu_memory"),
        }
        await exchange.json(200, msgspec.json.encode(body))

    async def metrics(self, exchange: Exchange) -> None:
        """`/metrics`: Prometheus' text format."""
        self._telemetry.flush()
        text = await asyncio.to_thread(self._telemetry.exposition, self._facts())
        await exchange.whole(200, text, METRICS_HEADERS[0][1])

    def _facts(self) -> Facts:
        """How things are, as of the last look at each dependency: nobody is asked now, and so nobody is waited for."""
        dataplane = self._dataplane
        seen = {name: dataplane.seen(name) for name in ("classifier", "llm")}
        classical = tuple((spec.name, spec.version, spec.framework) for spec in dataplane.catalogue.served())
        return Facts(
            models=(*classical, *((model, "", "vllm") for model in dataplane.llm_models())),
            dependencies={name: health.state for name, health in seen.items()},
            gpus=tuple(seen["llm"].detail.get("gpu_memory") or ()),
        )
