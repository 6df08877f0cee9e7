"""The Classifier: every classical model behind one adaptively batched BentoML API and one route for tensor frames.

The gateway sends frames (`services/frames.py`), already batched; BentoML's callers use the APIs, which BentoML batches.
Both feed the same engines.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Annotated, Any

import bentoml
import numpy as np

from models import store
from services import bentoml_patches
from services.asgi import use_front
from services.classifier.engine_runner import EngineRunner, Executors
from services.classifier.hop import HopApp, send_error
from services.classifier.registry import Registry
from services.classifier.serving_state import ServingState
from services.drain import drain_on_signals
from services.guard import check_hop, guarded
from services.runtime import DEPENDENCY_OPTIONS, SERVICE_OPTIONS, settle_garbage_collector
from services.settings.tree import load_settings, shared_metrics_folder
from services.telemetry.dependency import EngineMetrics
from services.telemetry.metrics import count_in_this_process
from services.telemetry.tracing import create_tracing

if TYPE_CHECKING:
    from models.spec import ModelSpec
    from services.asgi import ASGIApp


def _batchable(spec: ModelSpec) -> Any:
    """The adaptively batched BentoML API of one model; each has a dispatcher of its own, so batches never mix models."""
    width = len(spec.features)
    matrix = Annotated[np.ndarray, bentoml.validators.DType("float32"), bentoml.validators.Shape((-1, width))]

    async def predict(self: Any, rows: Any) -> Any:
        return await self.registry.runner(spec.name).predict(rows)

    predict.__name__ = spec.name
    predict.__qualname__ = f"Classifier.{spec.name}"
    predict.__doc__ = f"{spec.description} Probabilities of {', '.join(spec.labels)} for each row."
    predict.__annotations__ = {"rows": matrix, "return": np.ndarray}
    return bentoml.api(
        predict,
        batchable=True,
        max_batch_size=load_settings().classifier.max_batch_size,
        max_latency_ms=60_000,
    )


def _with_batchable_apis(cls: type) -> type:
    """BentoML must know its APIs before it starts: these are of the classifiers that are in the store by then."""
    for spec in store.list_pinned(load_settings().models.pinned):
        if spec.is_classifier and spec.name.isidentifier() and not hasattr(cls, spec.name):
            setattr(cls, spec.name, _batchable(spec))
    return cls


bentoml_patches.apply()


@bentoml.service(name="Classifier", workers=load_settings().classifier.workers, **SERVICE_OPTIONS, **DEPENDENCY_OPTIONS)
@_with_batchable_apis
class Classifier:
    """Serves the models of the store: at the start one version of each, then what it is told to."""

    def __init__(self) -> None:
        settings = load_settings()
        logging.getLogger("tandem").setLevel(settings.log_level.upper())
        self._hop = settings.hop
        executors = Executors.create()
        self.registry = Registry(
            ServingState.of_this_run(store.store_folder().parent / "tandem" / "serving"),
            lambda engine: EngineRunner(engine, executors),
            pinned=settings.models.pinned,
            threads=settings.classifier.threads,
            keep_seconds=settings.gateway.request_timeout + 1,
            patience=settings.models.load_timeout,
        )
        if shared_metrics_folder() is not None:
            count_in_this_process()
        self._metrics = EngineMetrics()
        self._tracing = create_tracing(settings.tracing, "tandem-classifier")
        self._warming: asyncio.Task[None] | None = None
        settle_garbage_collector()

    @bentoml.on_deployment
    @staticmethod
    def check() -> None:
        """Runs once, before anything is served."""
        check_hop("Classifier", load_settings().hop)

    @bentoml.on_startup
    async def start(self) -> None:
        """Follow what is to be served, and get ready for explanations: predictions do not wait for their imports."""
        drain_on_signals(load_settings().drain)
        self.registry.start()
        self._warming = asyncio.create_task(self._warm_up())

    @bentoml.on_shutdown
    async def stop(self) -> None:
        """Take leave of the other workers."""
        await self.registry.stop()
        if self._tracing is not None:
            await asyncio.to_thread(self._tracing.close)

    async def _warm_up(self) -> None:
        await self.registry.warm_up()
        settle_garbage_collector()

    def front(self, fallback: ASGIApp) -> ASGIApp:
        """The routes of the hop; the rest is BentoML's."""
        return guarded(
            HopApp(self.registry, fallback, self._metrics, shared_metrics_folder(), self._tracing),
            "Classifier",
            self._hop,
            send_error,
        )


use_front(Classifier)
