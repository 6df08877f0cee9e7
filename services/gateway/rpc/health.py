"""grpc.health.v1: what takes requests right now, as the gateway itself sees it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from grpc_health.v1 import health_pb2

from services.errors import RouteNotFound

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from services.gateway.dataplane import DataPlane
    from services.gateway.health import Health
    from services.gateway.rpc.calls import Call, Work

SERVICE = health_pb2.DESCRIPTOR.services_by_name["Health"]
_Response = health_pb2.HealthCheckResponse


class HealthService:
    """Answers for the server ("", as `/readyz` does) and for each service by what that one needs."""

    def __init__(self, dataplane: DataPlane, needs: Mapping[str, Sequence[str]], interval: float) -> None:
        """`needs` has the dependencies of each service; who watches hears of a change within `interval` seconds."""
        self._dataplane = dataplane
        self._needs = needs
        self._interval = interval
        self._closing = asyncio.Event()

    @property
    def methods(self) -> dict[str, Work]:
        """The service's methods by name."""
        return {"Check": self.check, "Watch": self.watch, "List": self.list}

    def close(self) -> None:
        """Everything is about to stop: say so to those who watch, and let them go."""
        self._closing.set()

    async def check(self, request: health_pb2.HealthCheckRequest, _: Call) -> health_pb2.HealthCheckResponse:
        """The status of one service. Raises RouteNotFound for an unknown one."""
        if request.service not in self._needs:
            raise RouteNotFound(f"There is no service {request.service!r}.")
        return self._status(request.service, await self._dataplane.health())

    async def list(self, _request: health_pb2.HealthListRequest, _: Call) -> health_pb2.HealthListResponse:
        """The status of every service."""
        health = await self._dataplane.health()
        return health_pb2.HealthListResponse(statuses={name: self._status(name, health) for name in self._needs})

    async def watch(
        self, request: health_pb2.HealthCheckRequest, _: Call
    ) -> AsyncIterator[health_pb2.HealthCheckResponse]:
        """The status of one service now, and again whenever it changes; of an unknown one, that it is unknown."""
        last: int | None = None
        while not self._closing.is_set():
            seen = self._seen(request.service)
            if seen.status != last:
                yield seen
                last = seen.status
            try:
                await asyncio.wait_for(self._closing.wait(), self._interval)
            except TimeoutError:
                continue
        yield _Response(status=_Response.NOT_SERVING)

    def _seen(self, service: str) -> health_pb2.HealthCheckResponse:
        needs = self._needs.get(service)
        if needs is None:
            return _Response(status=_Response.SERVICE_UNKNOWN)
        return self._status(service, {name: self._dataplane.seen(name) for name in needs})

    def _status(self, service: str, health: Mapping[str, Health]) -> health_pb2.HealthCheckResponse:
        needed = {name: health[name] for name in self._needs[service]}
        ready = all(one.ready for one in needed.values()) if service else self._dataplane.ready(needed)
        ready = ready and not self._closing.is_set()
        return _Response(status=_Response.SERVING if ready else _Response.NOT_SERVING)
