"""The gateway's gRPC server, on a port of its own and on the same event loop as HTTP."""

from __future__ import annotations

import asyncio
import logging
import socket
from typing import TYPE_CHECKING

from grpc_reflection.v1alpha import reflection, reflection_pb2

from services.gateway.control.path import Control
from services.gateway.oip.rpc import SERVICE as OIP
from services.gateway.oip.rpc import OIPService
from services.gateway.rpc.calls import Calls
from services.gateway.rpc.health import SERVICE as HEALTH
from services.gateway.rpc.health import HealthService
from services.gateway.rpc.wire.connection import Connection
from services.gateway.tandem_v1.service import SERVICE as TANDEM
from services.gateway.tandem_v1.service import LLMService

if TYPE_CHECKING:
    from services.gateway.dataplane import DataPlane
    from services.gateway.rpc.wire.stream import Method
    from services.settings.gateway import GatewaySettings
    from services.telemetry.recorder import Telemetry

REFLECTION = reflection_pb2.DESCRIPTOR.services_by_name["ServerReflection"]
_BACKLOG = 2048
logger = logging.getLogger("tandem.gateway")


class GrpcServer:
    """Serves the Open Inference Protocol, the language model, health and reflection."""

    def __init__(
        self, dataplane: DataPlane, telemetry: Telemetry, settings: GatewaySettings, control: Control | None = None
    ) -> None:
        self._settings = settings
        self._health = HealthService(
            dataplane,
            {
                "": ("classifier", "llm"),
                OIP.full_name: ("classifier",),
                TANDEM.full_name: ("llm",),
                HEALTH.full_name: (),
            },
            settings.probe_interval,
        )
        services = {
            OIP: OIPService(dataplane).methods,
            TANDEM: LLMService(dataplane).methods,
            HEALTH: self._health.methods,
        }
        names = (*(service.full_name for service in services), REFLECTION.full_name)
        services[REFLECTION] = {"ServerReflectionInfo": reflection.aio.ReflectionServicer(names).ServerReflectionInfo}
        calls = Calls(telemetry, control or Control(None, None, 1.0))
        self._methods: dict[bytes, Method] = {}
        for service, works in services.items():
            self._methods |= calls.methods(service, works)
        self._connections: set[Connection] = set()
        self._server: asyncio.Server | None = None

    async def start(self, host: str) -> int:
        """Listen on `host` and the port of the settings; returns the port, 0 when there is none to listen on.

        Every worker listens: the kernel shares connections among them. A single worker takes the port for itself, so
        that two servers never answer on one port by accident. HTTP goes on when the port is taken.
        """
        port = self._settings.grpc_port
        if not port:
            return 0
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        shared = self._settings.workers > 1
        try:
            listening = socket.create_server((host, port), family=family, backlog=_BACKLOG, reuse_port=shared)
        except OSError:
            logger.error(  # noqa: TRY400 - one line says it all
                "gRPC is off: nothing can listen on %s:%s. Choose another port with TANDEM_GATEWAY__GRPC_PORT.",
                host,
                port,
            )
            return 0
        self._server = await asyncio.get_running_loop().create_server(self._connection, sock=listening)
        return port

    async def stop(self, seconds: float = 0) -> None:
        """Take no more calls, give those under way so many seconds, and close. May be called again, with fewer."""
        self._health.close()
        if self._server is None:
            return
        self._server.close()
        for connection in tuple(self._connections):
            connection.leave()
        if seconds and self._connections:
            await asyncio.wait([connection.closed for connection in self._connections], timeout=seconds)
        for connection in tuple(self._connections):
            connection.abort()
        if self._connections:
            await asyncio.wait([connection.closed for connection in self._connections])

    def _connection(self) -> Connection:
        return Connection(self._methods, self._settings.max_body_bytes, self._connections)
