"""The whole gateway in this process, over fakes, for tests of its protocols."""

from __future__ import annotations

import socket
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import grpc
import httpx
from prometheus_client import CollectorRegistry

from models.spec import ModelSpec, TensorSpec
from services.gateway.app import create_app
from services.gateway.dataplane import DataPlane
from services.gateway.health import HealthMonitor
from services.gateway.native.routes import NativeRoutes
from services.gateway.rpc.server import GrpcServer
from services.settings.gateway import BatchingSettings, GatewaySettings
from services.settings.tree import Settings
from services.telemetry.recorder import Telemetry
from tests.fake_llm import LLM_NAME, FakeLLM
from tests.fakes import FakeClassifier, FakeDependency, make_spec

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from services.asgi import ASGIApp, Receive, Scope, Send
    from services.gateway.control.path import Control
    from services.telemetry.tracing import Tracing

FLOWERS = make_spec().model_copy(
    update={
        "outputs": (
            TensorSpec(name="label", datatype="BYTES", shape=(-1,)),
            TensorSpec(name="probabilities", datatype="FP32", shape=(-1, 2)),
        ),
        "metrics": {"accuracy": 0.9},
    }
)


def tensor_spec(name: str, *tensors: tuple[str, str, tuple[int, ...]]) -> ModelSpec:
    """A model that gives back each of its inputs doubled, as `<name>_doubled`."""
    return ModelSpec(
        name=name,
        version="v1",
        framework="onnx",
        description="Doubles.",
        features=(),
        labels=(),
        inputs=tuple(TensorSpec(name=one, datatype=datatype, shape=shape) for one, datatype, shape in tensors),
        outputs=tuple(
            TensorSpec(name=f"{one}_doubled", datatype=datatype, shape=shape) for one, datatype, shape in tensors
        ),
        trained_at=datetime(2026, 1, 1, tzinfo=UTC),
        data_source="Made up for tests.",
    )


class Stage:
    """A gateway over fakes."""

    def __init__(
        self,
        specs: Sequence[ModelSpec] = (FLOWERS,),
        control: Control | None = None,
        tracing: Tracing | None = None,
        *,
        classifier: FakeClassifier | None = None,
        llm: FakeLLM | None = None,
        fallback: ASGIApp | None = None,
        **gateway: Any,
    ) -> None:
        """What is not given is a fake of its own; `gateway` has settings of that section."""
        self.control = control
        self.grpc_port = 0
        """Where `channel` connects to."""
        self.rpc: GrpcServer
        """What answers there."""
        self.classifier = classifier or FakeClassifier()
        self.llm = llm or FakeLLM()
        self.dependencies = {
            "classifier": FakeDependency("Classifier"),
            "llm": FakeDependency("language model", {"state": "ready", "model": LLM_NAME, "models": [LLM_NAME]}),
        }
        self.settings = Settings(
            gateway=GatewaySettings(access_log=False, probe_interval=0.02, **gateway),
            batching=BatchingSettings(max_rows=64),
        )
        self.monitor = HealthMonitor(self.dependencies, 0.05)
        self.telemetry = Telemetry(access_log=False, registry=CollectorRegistry(), tracing=tracing)
        self.dataplane = DataPlane(
            specs, self.classifier, self.llm, self.monitor, self.settings, self.telemetry.metrics
        )
        native = NativeRoutes(self.dataplane, self.settings.gateway.max_rows)
        self.app = create_app(
            self.dataplane,
            native,
            self.telemetry,
            self.settings.gateway.max_body_bytes,
            fallback or _nothing_else,
            control,
        )

    @asynccontextmanager
    async def client(self) -> AsyncIterator[httpx.AsyncClient]:
        """HTTP to the gateway, whose dependencies have been looked at."""
        await self.monitor.look()
        transport = httpx.ASGITransport(self.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
            yield client
        await self.dataplane.close()

    @asynccontextmanager
    async def channel(self) -> AsyncIterator[grpc.aio.Channel]:
        """A gRPC channel to the gateway, whose dependencies have been looked at."""
        await self.monitor.look()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.grpc_port = int(probe.getsockname()[1])
        settings = self.settings.gateway.model_copy(update={"grpc_port": self.grpc_port})
        server = self.rpc = GrpcServer(self.dataplane, self.telemetry, settings, self.control)
        assert await server.start("127.0.0.1") == self.grpc_port
        try:
            async with grpc.aio.insecure_channel(f"127.0.0.1:{self.grpc_port}") as channel:
                yield channel
        finally:
            await server.stop()
            await self.dataplane.close()

    async def lose(self, dependency: str) -> None:
        """Let a dependency die, and the gateway notice."""
        self.dependencies[dependency].die()
        for _ in range(3):
            await self.monitor.look()


async def _nothing_else(scope: Scope, receive: Receive, send: Send) -> None:
    raise AssertionError(f"BentoML was asked for {scope['path']}")
