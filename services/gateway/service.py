"""The entry service: BentoML's side of the gateway. What it does is in `dataplane.py`, how it is reached in `app.py`."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncGenerator  # noqa: TC003 - BentoML reads the annotations
from typing import TYPE_CHECKING, Any

import bentoml
import msgspec
from bentoml.exceptions import BentoMLConfigException

from models import store
from services import bentoml_patches
from services.asgi import use_front
from services.binding import asked_host, host_of, is_served, own_url
from services.classifier.service import Classifier
from services.drain import drain_on_signals
from services.gateway.app import create_app
from services.gateway.backends import RemoteClassifier, RemoteLLM
from services.gateway.banner import announce_when_ready
from services.gateway.binding import check_binding
from services.gateway.control.assembly import create_control
from services.gateway.dataplane import DataPlane
from services.gateway.health import HealthMonitor
from services.gateway.leaving import Leaving
from services.gateway.native.answers import classified, explained
from services.gateway.native.models import ClassifyAnswer, ExplainAnswer
from services.gateway.native.routes import NativeRoutes
from services.gateway.native.schemas import as_row
from services.gateway.reach import reach
from services.gateway.rpc.server import GrpcServer
from services.guard import readable_tokens
from services.llm.service import LLM
from services.runtime import SERVICE_OPTIONS, allow_many_connections, settle_garbage_collector
from services.settings.tree import load_settings, shared_metrics_folder
from services.telemetry.metrics import count_in_this_process
from services.telemetry.recorder import Telemetry
from services.telemetry.tracing import create_tracing

if TYPE_CHECKING:
    from services.asgi import ASGIApp
    from services.gateway.replicas import Replicas
    from services.gateway.upstream import Upstream
    from services.settings.hop import HopSettings

bentoml_patches.apply()
# uvicorn believes what clients on this machine say of their address unless told otherwise, and limits go by the address.
os.environ.setdefault("FORWARDED_ALLOW_IPS", "")

_FLUSH_SECONDS = 0.2


@bentoml.service(name="Gateway", workers=load_settings().gateway.workers, **SERVICE_OPTIONS)
class Gateway:
    """Classical models and a language model behind one address."""

    classifier = bentoml.depends(Classifier, url=load_settings().gateway.classifier_url)
    llm = bentoml.depends(LLM, url=load_settings().gateway.llm_url)

    def __init__(self) -> None:
        settings = load_settings()
        logging.getLogger("tandem").setLevel(settings.log_level.upper())
        self._settings = settings.gateway
        self._drain = settings.drain
        metrics_folder = shared_metrics_folder()
        if metrics_folder is not None:
            count_in_this_process()
        self._telemetry = Telemetry(
            access_log=settings.gateway.access_log,
            logs=settings.logs,
            tracing=create_tracing(settings.tracing, "tandem-gateway"),
            shared_folder=metrics_folder,
        )
        self._upstreams = {
            "classifier": self._upstream("Classifier", self.classifier, settings.hop, differ=True),
            "llm": self._upstream("language model", self.llm, settings.hop, channel=True),
        }
        self._monitor = HealthMonitor(self._upstreams, settings.gateway.probe_interval)
        self._dataplane = DataPlane(
            store.list_pinned(settings.models.pinned),
            RemoteClassifier(
                self._upstreams["classifier"], settings.gateway.request_timeout, settings.models.load_timeout + 5
            ),
            RemoteLLM(self._upstreams["llm"], settings.gateway.llm_idle_timeout),
            self._monitor,
            settings,
            self._telemetry.metrics,
        )
        self._control = create_control(settings, self._telemetry.metrics)
        self._native = NativeRoutes(self._dataplane, settings.gateway.max_rows)
        self._grpc = GrpcServer(self._dataplane, self._telemetry, settings.gateway, self._control)
        self._tasks: list[asyncio.Task[None]] = []

    def front(self, fallback: ASGIApp) -> ASGIApp:
        """The gateway's own routes; BentoML's pages and schema behind them."""
        return create_app(
            self._dataplane, self._native, self._telemetry, self._settings.max_body_bytes, fallback, self._control
        )

    @bentoml.api
    async def classify(self, model: str, rows: list[dict[str, float]], version: str | None = None) -> ClassifyAnswer:
        """Labels and probabilities for a list of rows, each an object with one number a feature."""
        spec, request = self._native.decode_rows(_body(model=model, rows=rows, version=version))
        answers = await self._dataplane.predict(spec, [as_row(row) for row in request.rows])
        return ClassifyAnswer.model_validate(msgspec.to_builtins(classified(spec, answers)))

    @bentoml.api
    async def explain(self, model: str, row: dict[str, float], version: str | None = None) -> ExplainAnswer:
        """The prediction for one row, what each feature did, and the language model's words for exactly that."""
        spec, request = self._native.decode_row(_body(model=model, row=row, version=version))
        return ExplainAnswer.model_validate(explained(await self._dataplane.explain(spec, as_row(request.row))))

    @bentoml.api
    async def explain_stream(
        self, model: str, row: dict[str, float], version: str | None = None
    ) -> AsyncGenerator[str, None]:
        """The text of `explain`, as it is generated."""
        spec, request = self._native.decode_row(_body(model=model, row=row, version=version))
        async for piece in self._dataplane.explain_stream(spec, as_row(request.row)):
            yield piece

    @bentoml.on_deployment
    @staticmethod
    def check() -> None:
        """Runs once, before anything is served: what must not be served ends the start with a sentence."""
        is_served("Gateway")  # always, but its dependencies' hooks must hear of it
        check_binding(asked_host(), load_settings())
        readable_tokens(load_settings().hop)

    @bentoml.on_startup
    async def start(self) -> None:
        """Open the connections, look after the dependencies, and say so when they are ready."""
        leaving = Leaving(
            self._dataplane, self._control, self._grpc, self._upstreams.values(), self._telemetry, self._drain.timeout
        )
        drain_on_signals(self._drain, leaving)
        allow_many_connections()
        await self._control.start()
        for upstream in self._upstreams.values():
            await upstream.open()
        # Requests wait at the socket meanwhile: without a look they would be answered 503.
        await self._monitor.look()
        self._monitor.start()
        self._dataplane.catalogue.start()
        self._tasks.append(asyncio.create_task(self._flush_telemetry()))
        url = own_url("Gateway")
        host = host_of(url)
        grpc_port = await self._grpc.start(host)
        if url and bentoml.server_context.worker_index == 1:
            grpc = f"{host}:{grpc_port}" if grpc_port else None
            self._tasks.append(asyncio.create_task(announce_when_ready(self._dataplane, url, grpc)))
        settle_garbage_collector()

    @bentoml.on_shutdown
    async def stop(self) -> None:
        """Finish what was accepted and close."""
        for task in self._tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        await self._grpc.stop()
        await self._dataplane.close()
        await self._control.stop()
        await self._monitor.stop()
        for upstream in self._upstreams.values():
            await upstream.close()
        self._telemetry.flush()
        await asyncio.to_thread(self._telemetry.close)

    def _upstream(self, name: str, dependency: Any, hop: HopSettings, **options: bool) -> Upstream | Replicas:
        client = getattr(dependency, "to_async", None)
        if client is None:
            raise BentoMLConfigException(
                "The gateway reaches its dependencies over HTTP: start it with `bentoml serve`."
            )
        return reach(name, client.url, self._settings, hop, **options)

    async def _flush_telemetry(self) -> None:
        while True:
            await asyncio.sleep(_FLUSH_SECONDS)
            self._telemetry.flush()


use_front(Gateway)


def _body(**fields: Any) -> bytes:
    return msgspec.json.encode(fields)
