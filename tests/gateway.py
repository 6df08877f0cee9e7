"""The gateway in process, over fakes: the one place where tests wire it together."""

from __future__ import annotations

import asyncio
import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import httpx
import uvicorn
from prometheus_client import CollectorRegistry

from services.gateway.app import create_app
from services.gateway.dataplane import DataPlane
from services.gateway.health import HealthMonitor
from services.gateway.native.routes import NativeRoutes
from services.http_protocol import HttpProtocol
from services.settings.control import AdmissionSettings
from services.settings.gateway import BatchingSettings, GatewaySettings
from services.settings.telemetry import TracingSettings
from services.settings.tree import Settings
from services.telemetry.recorder import Telemetry
from tests.asgi import no_fallback
from tests.fake_llm import LLM_NAME, FakeLLM
from tests.fakes import FakeClassifier, FakeDependency, make_spec

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

    from services.asgi import ASGIApp
    from services.gateway.backends import ClassifierBackend, LLMBackend
    from services.gateway.control.path import Control
    from services.gateway.health import Probed
    from services.telemetry.tracing import Tracing

SPECS = (make_spec(), make_spec("trees", "v7"))
MAX_BODY = 2 * 2**20
MAX_ROWS = 10_000


class Bundle:
    """A gateway that serves `SPECS` and one language model."""

    def __init__(
        self,
        *,
        classifier: ClassifierBackend | None = None,
        llm: LLMBackend | None = None,
        dependencies: Mapping[str, Probed] | None = None,
        batch_rows: int = 1024,
        request_timeout: float = 60.0,
        fallback: ASGIApp = no_fallback,
        control: Control | None = None,
        admission: AdmissionSettings | None = None,
        tracing: Tracing | None = None,
        captures: bool = False,
    ) -> None:
        """What is not given is a fake of its own."""
        self.classifier = FakeClassifier()
        self.llm = FakeLLM()
        self.dependencies = {
            "classifier": FakeDependency("Classifier", {"state": "ready", "models": {"flowers": "v1", "trees": "v7"}}),
            "llm": FakeDependency(
                "language model", {"state": "ready", "model": LLM_NAME, "models": [LLM_NAME, "lora"]}
            ),
        }
        self.registry = CollectorRegistry()
        self.telemetry = Telemetry(access_log=True, registry=self.registry, tracing=tracing)
        self.monitor = HealthMonitor(dependencies or self.dependencies, 0.5)
        self.settings = Settings(
            gateway=GatewaySettings(max_body_bytes=MAX_BODY, max_rows=MAX_ROWS, request_timeout=request_timeout),
            batching=BatchingSettings(max_rows=batch_rows),
            admission=admission or AdmissionSettings(),
            tracing=TracingSettings(capture_content=captures),
        )
        self.dataplane = DataPlane(
            SPECS,
            classifier or self.classifier,
            llm or self.llm,
            self.monitor,
            self.settings,
            self.telemetry.metrics,
        )
        native = NativeRoutes(self.dataplane, MAX_ROWS)
        self.app = create_app(self.dataplane, native, self.telemetry, MAX_BODY, fallback, control)

    @asynccontextmanager
    async def client(self) -> AsyncIterator[httpx.AsyncClient]:
        """A client of the gateway, once it has looked at its dependencies."""
        await self.monitor.look()
        async with httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url="http://tandem") as client:
            yield client

    def counted(self, route: str, status: int) -> float:
        """Requests that telemetry has counted."""
        self.telemetry.flush()
        labels = {"route": route, "status": str(status)}
        return self.registry.get_sample_value("tandem_requests_total", labels) or 0


class _Server(uvicorn.Server):
    """Says when it listens, and stops when it is told to instead of looking ten times a second."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = asyncio.Event()
        self.done = asyncio.Event()

    async def main_loop(self) -> None:
        await self.done.wait()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.up.set()


@asynccontextmanager
async def listening(app: ASGIApp, path: Path, http: type[HttpProtocol] = HttpProtocol) -> AsyncIterator[None]:
    """A real uvicorn in this process that serves `app` on the Unix socket at `path`, as BentoML would start it."""
    async with _running(uvicorn.Config(app, uds=str(path), lifespan="off", log_config=None, http=http)):
        yield


@asynccontextmanager
async def listening_on(app: ASGIApp, port: int = 0) -> AsyncIterator[int]:
    """The same on a port of this machine: which one."""
    with socket.create_server(("127.0.0.1", port)) as listener:
        config = uvicorn.Config(app, lifespan="off", log_config=None, http=HttpProtocol)
        async with _running(config, [listener]):
            yield int(listener.getsockname()[1])


@asynccontextmanager
async def _running(config: uvicorn.Config, sockets: list[socket.socket] | None = None) -> AsyncIterator[None]:
    server = _Server(config)
    serving = asyncio.create_task(server.serve(sockets))
    await server.up.wait()
    try:
        yield
    finally:
        server.force_exit = True
        server.done.set()
        await serving
