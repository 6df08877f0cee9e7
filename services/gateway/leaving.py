"""How a gateway process takes its leave, step by step, over HTTP and gRPC alike."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable

    from services.gateway.control.path import Control
    from services.gateway.dataplane import DataPlane
    from services.gateway.replicas import Replicas
    from services.gateway.rpc.server import GrpcServer
    from services.gateway.upstream import Upstream
    from services.telemetry.recorder import Telemetry


class Leaving:
    """`services.drain.Drained` over the gateway."""

    def __init__(
        self,
        dataplane: DataPlane,
        control: Control,
        grpc: GrpcServer,
        upstreams: Iterable[Upstream | Replicas],
        telemetry: Telemetry,
        timeout: float,
    ) -> None:
        """`timeout` is what requests under way have to finish, in seconds."""
        self._dataplane = dataplane
        self._control = control
        self._grpc = grpc
        self._upstreams = upstreams
        self._telemetry = telemetry
        self._timeout = timeout
        self._tasks: list[asyncio.Task[None]] = []

    def active(self) -> int:
        return self._telemetry.active

    def announce(self) -> None:
        """Readiness says no, and HTTP answers ask clients to come back on another connection."""
        self._dataplane.stopping = True
        self._control.announce_end()

    def refuse(self) -> None:
        """503 over HTTP. gRPC sends its clients away, as its protocol has it, and closes its port: UNAVAILABLE."""
        self._control.refuse()
        self._do(self._grpc.stop(self._timeout))

    def abandon(self) -> None:
        """Everybody who still waits hears 503, and a stream ends with an error."""
        self._dataplane.abandon()
        for upstream in self._upstreams:
            self._do(upstream.abandon())

    def _do(self, step: Coroutine[Any, Any, None]) -> None:
        self._tasks.append(asyncio.get_running_loop().create_task(step))
