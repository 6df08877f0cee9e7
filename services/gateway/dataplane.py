"""What Tandem does, whatever protocol asked for it: predict, explain, generate.

Protocol adapters translate to and from these calls; backends carry them out. Nothing here knows HTTP or BentoML.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from models.attribution import rank
from services.classifier.routes import Change
from services.errors import InternalError, ServingError, Unavailable
from services.gateway.catalogue import SETTLE_SECONDS, Catalogue
from services.gateway.control.admission import Gate
from services.gateway.control.llm import GuardedLLM, before
from services.gateway.control.work import current, current_request, seconds_left
from services.gateway.explaining import Attributed, Explainer
from services.gateway.health import STOPPING
from services.gateway.lanes import Lanes
from services.gateway.stacking import row_count
from services.gateway.watching import watch_gates

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager

    from models.spec import ModelSpec
    from services.gateway.backends import ClassifierBackend, LLMBackend, Row
    from services.gateway.catalogue import StoredVersion
    from services.gateway.explaining import Explanation
    from services.gateway.health import Health, HealthMonitor
    from services.gateway.streamed import Answer
    from services.settings.tree import Settings
    from services.telemetry.metrics import Metrics
    from services.tensors import Tensor, Tensors

Probabilities = list[float]


class DataPlane:
    """The one place where every protocol's requests meet the models."""

    def __init__(
        self,
        specs: Sequence[ModelSpec],
        classifier: ClassifierBackend,
        llm: LLMBackend,
        health: HealthMonitor,
        settings: Settings,
        metrics: Metrics,
    ) -> None:
        """Serve `specs` until the Classifier has said what it has."""
        self.catalogue = Catalogue(specs, classifier)
        self.stopping = False
        """Whether the server is about to stop, which readiness must say."""
        self._classifier = classifier
        workers = settings.gateway.workers
        self._llm = GuardedLLM(
            llm, settings.admission, self.llm_models, metrics, workers, captures=settings.tracing.capture_content
        )
        self._explainer = Explainer(self._llm, health)
        self._attributions = Gate(
            "attributions",
            requests=max(1, settings.admission.explain_in_flight // workers),
            queue=max(1, settings.admission.explain_queue // workers),
            patience=settings.admission.patience,
            admitted=partial(metrics.admitted, "attributions"),
        )
        self._health = health
        self._ready_when = any if settings.gateway.ready_when == "any" else all
        self._timeout = settings.gateway.request_timeout
        self._slice = settings.batching.max_rows
        self._max_rows = settings.gateway.max_rows
        self._shares_port = settings.gateway.workers > 1
        self._metrics = metrics
        self._lanes = Lanes(classifier, settings, metrics)
        self._lane = self._lanes.of
        watch_gates(metrics, {"llm": self._llm.gate, "attributions": self._attributions})
        self.catalogue.listen(lambda: self._lanes.sweep(self.catalogue.holds))

    @property
    def specs(self) -> Mapping[str, ModelSpec]:
        """What each model's bare name stands for."""
        return self.catalogue.specs

    def spec(self, model: str, version: str | None = None) -> ModelSpec:
        """The spec of `model`, in `version` where one is given; raises ModelNotFound, or PermissionDenied."""
        current().allow(model)
        return self.catalogue.find(model, version)

    def versions(self, model: str) -> list[str]:
        """The versions of a model that are served, the one that its bare name stands for first."""
        others = [spec.version for spec in self.catalogue.others if spec.name == model]
        return [self.catalogue.find(model).version, *others]

    async def repository(self) -> list[StoredVersion]:
        """Every version in the model store, and whether it is served. Raises Unavailable when the Classifier is down."""
        self._health.require("classifier")
        return self.catalogue.apply(await self._classifier.listing())

    async def load_model(self, name: str, version: str = "") -> None:
        """Serve a stored model: the newest or pinned version in place of the one that its name stood for, or beside it
        the version that is given. Requests under way finish on what they began with.

        Raises ModelNotFound, Unavailable, or ModelLoadFailed, after which everything is as it was.
        """
        await self._change(Change(name, load=True, version=version))

    async def unload_model(self, name: str, version: str = "") -> None:
        """Serve a model, or one version of it, no more. Raises ModelNotFound or Unavailable."""
        await self._change(Change(name, load=False, version=version))

    def require_models(self) -> None:
        """Raises Unavailable, with the reason, unless new requests for the classical models should come here."""
        if self.stopping:
            raise Unavailable(str(STOPPING.reason))
        self._health.require("classifier")

    async def predict(self, spec: ModelSpec, rows: Sequence[Row]) -> list[Probabilities]:
        """Class probabilities for each row, in the order of `ModelSpec.labels`, rounded to six decimals.

        Raises Unavailable, Overloaded or DeadlineExceeded.
        """
        self._health.require("classifier")
        work = current_request().work
        if work.counts or work.deadline is not None:
            timeout = await self._permitted(spec)
        else:  # as that, without waiting
            if work.restricted:
                work.allow(spec.name)
            timeout = self._timeout
        batcher = self._lane(spec).batcher
        answers: list[Probabilities]
        if 0 < len(rows) <= self._slice:
            answers = await batcher.submit(rows, len(rows), timeout)
            return answers
        return [answer for part in await self._in_parts(spec, rows, timeout) for answer in part]

    async def infer(
        self, spec: ModelSpec, tensors: Tensors, outputs: Sequence[str] = (), seconds: float | None = None
    ) -> dict[str, Tensor]:
        """The named `outputs` of a model (all of them when none is named), in that order, for its inputs by name.

        Classifiers answer with the same rows and batches as in `predict`. `seconds` is what the caller still waits.
        Raises InvalidInput, Unavailable, Overloaded or DeadlineExceeded.
        """
        self._health.require("classifier")
        contract = self._lane(spec).contract
        inputs = contract.check(tensors)
        wanted = contract.wanted(outputs)
        timeout = await self._permitted(spec)
        timeout = timeout if seconds is None else min(seconds, timeout)
        if contract.is_classifier:
            probabilities = await self._probabilities(spec, inputs["features"], timeout)
            return {name: contract.labels(probabilities) if name == "label" else probabilities for name in wanted}
        rows = row_count(inputs) if contract.takes_rows else 1
        answer: dict[str, Tensor] = await self._lane(spec).batcher.submit(inputs, rows, timeout)
        missing = next((name for name in wanted if name not in answer), None)
        if missing:
            raise InternalError(f"{spec.name} did not give its output {missing!r}.")
        return {name: answer[name] for name in wanted}

    async def explain(self, spec: ModelSpec, row: Row) -> Explanation:
        """The prediction for `row`, its attributions, and what the language model makes of exactly those.

        When the language model is down the explanation's `text` is None and `reason` says why.
        """
        return await self._explainer.explain(await self._attribute(spec, row))

    async def explain_stream(self, spec: ModelSpec, row: Row) -> AsyncGenerator[str, None]:
        """The text of `explain`, piece by piece as it is generated. Raises Unavailable when the LLM is down."""
        self._health.require("llm")
        async with aclosing(self._explainer.stream(await self._attribute(spec, row))) as pieces:
            async for piece in pieces:
                yield piece

    def generate(
        self, method: str, path: str, body: bytes, headers: dict[str, str]
    ) -> AbstractAsyncContextManager[Answer]:
        """One request to the language model's OpenAI app. Raises Unavailable when it is down or starting."""
        self._health.require("llm")
        return self._llm.stream(method, path, body, headers)

    def llm_models(self) -> tuple[str, ...]:
        """Names that the language model answers to: its own, then its adapters'. Empty until it has said."""
        return tuple(self._health.last("llm").detail.get("models", ()))

    async def health(self) -> dict[str, Health]:
        """How each dependency is right now, and that none is to be asked for through a server that stops."""
        return dict.fromkeys(self._health.names, STOPPING) if self.stopping else await self._health.look()

    def ready(self, seen: Mapping[str, Health]) -> bool:
        """Whether the server is, its dependencies being as `seen`: as `gateway.ready_when` says."""
        return self._ready_when(health.ready for health in seen.values())

    def seen(self, dependency: str) -> Health:
        """How a dependency was when last looked at."""
        return STOPPING if self.stopping else self._health.last(dependency)

    def abandon(self) -> None:
        """Give up the predictions that wait or are under way."""
        self._lanes.abandon()

    async def close(self) -> None:
        """Finish what was accepted."""
        await self.catalogue.stop()
        await self._lanes.close()

    async def _change(self, change: Change) -> None:
        """The one way in which what is served changes on request."""
        self._health.require("classifier")
        kind = "load" if change.load else "unload"
        try:
            self.catalogue.apply(await self._classifier.change(change))
        except ServingError:
            self._metrics.model_change(kind, "failed")
            raise
        self._metrics.model_change(kind, "ok")
        if self._shares_port:  # the caller's next request may reach another process
            await asyncio.sleep(SETTLE_SECONDS)

    async def _permitted(self, spec: ModelSpec) -> float:
        """Count a prediction; returns the seconds that it may take. Raises PermissionDenied, LimitExceeded or
        DeadlineExceeded.
        """
        work = current()
        if work.counts:
            await work.use(spec.name)
        elif work.caller:
            work.allow(spec.name)
        return self._timeout if work.deadline is None else seconds_left(self._timeout)

    async def _probabilities(self, spec: ModelSpec, rows: Tensor, seconds: float) -> Tensor:
        batcher = self._lane(spec).batcher
        if 0 < len(rows) <= self._slice:
            answer: Tensor = await batcher.submit(rows, len(rows), seconds)
            return answer
        answers = [np.empty((0, len(spec.labels)), np.float32)]
        answers += await self._in_parts(spec, rows, seconds)
        return np.concatenate(answers)

    async def _in_parts(self, spec: ModelSpec, rows: Sequence[Row] | Tensor, seconds: float) -> list[Any]:
        """The answer to each slice of `rows` that fits a batch; `seconds` is for all of them together."""
        batcher = self._lane(spec).batcher
        clock = asyncio.get_running_loop().time
        deadline = clock() + seconds
        parts = (rows[start : start + self._slice] for start in range(0, len(rows), self._slice))
        return [await batcher.submit(part, len(part), deadline - clock()) for part in parts]

    async def _attribute(self, spec: ModelSpec, row: Row) -> Attributed:
        self._health.require("classifier")
        work = current()
        await work.use(spec.name)
        seconds_left(self._timeout)
        async with before(work.deadline), self._attributions.enter():
            probabilities, attributions = await self._classifier.attribute(spec, row)
        named = {label: round(value, 6) for label, value in zip(spec.labels, probabilities, strict=True)}
        return Attributed(spec, named, attributions, rank(spec, row, attributions))
