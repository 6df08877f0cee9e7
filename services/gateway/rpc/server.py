"""The gateway's gRPC server, on a port of its own and on the same event loop as HTTP."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import grpc
from grpc_reflection.v1alpha import reflection

from services.gateway.control.path import Control
from services.gateway.oip.rpc import SERVICE as OIP
from services.gateway.oip.rpc import OIPService
from services.gateway.rpc.calls import Calls
from services.gateway.rpc.health import SERVICE as HEALTH
from services.gateway.rpc.health import HealthService
from services.gateway.tandem_v1.service import SERVICE as TANDEM
from services.gateway.tandem_v1.service import LLMService

if TYPE_CHECKING:
    from services.gateway.dataplane import DataPlane
    from services.settings.gateway import GatewaySettings
    from services.telemetry.recorder import Telemetry

logger = logging.getLogger("tandem.gateway")


class GrpcServer:
    """Serves the Open Inference Protocol, the language model, health and reflection."""

    def __init__(
        self, dataplane: DataPlane, telemetry: Telemetry, settings: GatewaySettings, control: Control | None = None
    ) -> None:
        self._calls = Calls(telemetry, control or Control(None, None, 1.0))
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
        self._services = {
            OIP: OIPService(dataplane).methods,
            TANDEM: LLMService(dataplane).methods,
            HEALTH: self._health.methods,
        }
        self._server: grpc.aio.Server | None = None

    async def start(self, host: str) -> int:
        """Listen on `host` and the port of the settings; returns the port, 0 when there is none to listen on.

        Every worker listens: the kernel shares connections among them. A single worker takes the port for itself, so
        that two servers never answer on one port by accident. HTTP goes on when the port is taken.
        """
        if not self._settings.grpc_port:
            return 0
        server = grpc.aio.server(
            options=(
                ("grpc.so_reuseport", int(self._settings.workers > 1)),
                ("grpc.max_receive_message_length", self._settings.max_body_bytes),
                ("grpc.max_send_message_length", -1),
            )
        )
        for service, methods in self._services.items():
            server.add_generic_rpc_handlers((self._calls.handler(service, methods),))
        names = (*(service.full_name for service in self._services), reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, server)
        address = f"[{host}]" if ":" in host else host
        try:
            port = server.add_insecure_port(f"{address}:{self._settings.grpc_port}")
        except RuntimeError:
            logger.error(  # noqa: TRY400 - one line says it all
                "gRPC is off: nothing can listen on %s:%s. Choose another port with TANDEM_GATEWAY__GRPC_PORT.",
                address,
                self._settings.grpc_port,
            )
            return 0
        await server.start()
        self._server = server
        return port

    async def stop(self, seconds: float = 0) -> None:
        """Take no more calls, give those under way so many seconds, and close. May be called again, with fewer."""
        self._health.close()
        if self._server is not None:
            await self._server.stop(seconds)
