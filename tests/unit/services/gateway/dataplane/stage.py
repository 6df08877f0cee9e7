"""A data plane over fakes."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from services.gateway.dataplane import DataPlane
from services.gateway.health import HealthMonitor
from services.settings.gateway import BatchingSettings, GatewaySettings
from services.settings.tree import Settings
from tests.fake_llm import LLM_NAME, FakeLLM
from tests.fakes import FakeClassifier, FakeDependency, make_spec
from tests.metrics import make_metrics, value

SPEC = make_spec()
ROW = (60.0, 2.0, 3.0)


class Stage:
    """A data plane over fakes."""

    def __init__(self, **gateway: float) -> None:
        self.classifier = FakeClassifier()
        self.llm = FakeLLM()
        self.dependencies = {
            "classifier": FakeDependency("Classifier"),
            "llm": FakeDependency(
                "language model", {"state": "ready", "model": LLM_NAME, "models": [LLM_NAME, "lora"]}
            ),
        }
        self.monitor = HealthMonitor(self.dependencies, 0.5)
        self.registry = CollectorRegistry()
        self.metrics = make_metrics(self.registry)
        self.dataplane = DataPlane(
            [SPEC, make_spec("trees")],
            self.classifier,
            self.llm,
            self.monitor,
            Settings(gateway=GatewaySettings(**gateway), batching=BatchingSettings(max_rows=4)),
            self.metrics,
        )

    @classmethod
    async def ready(cls, **gateway: float) -> Stage:
        stage = cls(**gateway)
        await stage.monitor.look()
        return stage

    def counted(self, name: str, **labels: str) -> float:
        return value(self.metrics, self.registry, name, **labels)

    async def streamed(self) -> str:
        return "".join([piece async for piece in self.dataplane.explain_stream(SPEC, ROW)])
