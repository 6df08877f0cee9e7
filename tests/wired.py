"""A gateway whose dependencies are real HTTP servers on Unix sockets of this process."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, cast

from prometheus_client import CollectorRegistry

from services.classifier.engine_runner import EngineRunner, Executors
from services.classifier.hop import HopApp
from services.errors import ModelNotFound
from services.gateway.address import Address
from services.gateway.backends import RemoteClassifier, RemoteLLM
from services.gateway.upstream import Upstream
from services.telemetry.dependency import EngineMetrics
from tests.asgi import no_fallback
from tests.fake_llm import LLM_NAME, chat_events
from tests.fakes import FakeEngine, make_spec
from tests.gateway import Bundle, listening
from tests.http_server import Request, Server, serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    import httpx

    from services.classifier.registry import Registry
    from services.telemetry.tracing import Tracing

ROW = {"height": 60, "width": 2, "age": 3}
CLASSIFY = {"model": "flowers", "rows": [ROW]}
EXPLAIN = {"model": "flowers", "row": ROW}
LLM_READY = json.dumps({"state": "ready", "model": LLM_NAME, "models": [LLM_NAME]}).encode()


class Runners:
    """The models of one Classifier worker."""

    def __init__(self) -> None:
        self.executors = Executors.create()
        self._runners = {
            spec.name: EngineRunner(FakeEngine(spec), self.executors)
            for spec in (make_spec(), make_spec("trees", "v7"))
        }

    def runner(self, name: str, version: str = "") -> EngineRunner:
        runner = self._runners.get(name)
        if runner is None:
            raise ModelNotFound(name)
        return runner

    def status(self) -> dict[str, Any]:
        return {"state": "ready", "models": {name: runner.spec.version for name, runner in self._runners.items()}}

    def close(self) -> None:
        self.executors.predict.shutdown()
        self.executors.attribute.shutdown()


async def answer_as_llm(request: Request) -> None:
    """As vLLM would: a streamed or a whole chat."""
    if json.loads(request.body).get("stream"):
        await request.begin("content-type: text/event-stream\r\n")
        for event in chat_events("Because ", "it is tall."):
            await request.chunk(event)
        await request.chunk(b"")
    else:
        body = json.dumps({"choices": [{"message": {"content": "Because it is tall."}}]}).encode()
        await request.answer(body, headers="content-type: application/json\r\n")


class Wired:
    """A gateway whose dependencies are real upstreams on two sockets, and whose clients are in this process."""

    def __init__(self, folder: Path, tracing: Tracing | None = None, patience: float = 10) -> None:
        """`patience` is how long a request may take, in seconds: more than any test needs that watches no deadline."""
        self.paths = {"classifier": folder / "classifier", "llm": folder / "llm"}
        self.upstreams = {
            name: Upstream(
                name, Address.parse(f"file://{path}"), connect_timeout=patience * 0.6, probe_timeout=patience * 0.4
            )
            for name, path in self.paths.items()
        }
        self.bundle = Bundle(
            classifier=RemoteClassifier(self.upstreams["classifier"], patience, patience),
            llm=RemoteLLM(self.upstreams["llm"], patience),
            dependencies=self.upstreams,
            request_timeout=patience,
            tracing=tracing,
        )

    @asynccontextmanager
    async def client(self) -> AsyncIterator[httpx.AsyncClient]:
        for upstream in self.upstreams.values():
            await upstream.open()
        try:
            async with self.bundle.client() as client:
                yield client
        finally:
            await self.bundle.dataplane.close()
            for upstream in self.upstreams.values():
                await upstream.close()


@asynccontextmanager
async def classifier_at(path: Path, tracing: Tracing | None = None) -> AsyncIterator[None]:
    runners = Runners()
    try:
        async with listening(
            HopApp(cast("Registry", runners), no_fallback, EngineMetrics(CollectorRegistry()), tracing=tracing), path
        ):
            yield
    finally:
        runners.close()


@asynccontextmanager
async def llm_at(path: Path) -> AsyncIterator[Server]:
    async with serving(answer_as_llm, path) as server:
        server.on_probe = lambda request: request.answer(LLM_READY)
        yield server
