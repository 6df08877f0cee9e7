"""The Classifier's side of the hop: what the gateway asks of it, tensors as frames and everything else as JSON."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from services.asgi import JSON, answer, read_body, send_bytes, send_json
from services.classifier.routes import ATTRIBUTE_PATH, INFER_PATH, MODELS_PATH, PREDICT_PATH, Change
from services.errors import InternalError, InvalidInput, ServingError
from services.frames import CONTENT_TYPE, decode_frame, encode_frame
from services.runtime import METRICS_HEADERS, METRICS_PATH, STATUS_PATH
from services.telemetry.dependency import dependency_exposition
from services.telemetry.exposition import Facts

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from services.asgi import ASGIApp, Header, Receive, Scope, Send
    from services.classifier.engine_runner import EngineRunner
    from services.classifier.registry import Registry
    from services.frames import FrameHeader
    from services.telemetry.dependency import EngineMetrics
    from services.telemetry.spans import TraceSpan
    from services.telemetry.tracing import Tracing
    from services.tensors import Tensors

    Answer = tuple[bytes, tuple[Header, ...]]
    """A body, and what it is."""
    Handler = Callable[[FrameHeader, Tensors, float], Awaitable[Answer]]
    """Given a frame, and when nobody waits for the answer any more, on the clock of `time.monotonic`."""

_MAX_FRAME = 2**30
_MAX_CHANGE = 2**16
_FRAME = ((b"content-type", CONTENT_TYPE.encode()),)

logger = logging.getLogger("tandem.classifier")


class HopApp:
    """Status, predictions, attributions and the models themselves, for the gateway."""

    def __init__(
        self,
        registry: Registry,
        fallback: ASGIApp,
        metrics: EngineMetrics,
        metrics_folder: Path | None = None,
        tracing: Tracing | None = None,
    ) -> None:
        """`metrics_folder` is where all processes of this server count."""
        self._registry = registry
        self._metrics = metrics
        self._metrics_folder = metrics_folder
        self._tracing = tracing
        self._fallback = fallback
        self._handlers: dict[str, ASGIApp] = {
            PREDICT_PATH: partial(self._framed, self._predict),
            INFER_PATH: partial(self._framed, self._infer),
            ATTRIBUTE_PATH: partial(self._framed, self._attribute),
            STATUS_PATH: self._status,
            MODELS_PATH: self._models,
            METRICS_PATH: self._expose,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        handler = self._handlers.get(scope["path"])
        if handler is None:
            await self._fallback(scope, receive, send)
            return
        try:
            await handler(scope, receive, send)
        except ServingError as error:
            await send_error(send, error)
        except Exception:
            logger.exception("A request from the gateway failed")
            await send_error(send, InternalError("The model failed on this request."))

    async def _framed(self, handle: Handler, scope: Scope, receive: Receive, send: Send) -> None:
        """Have `handle` answer a frame, below the gateway's span where that is sampled. A body that is no frame names none."""
        began, came = time.time_ns(), time.monotonic()
        header, tensors = decode_frame(await read_body(scope, receive, _MAX_FRAME))
        span: TraceSpan | None = None
        if header.traceparent and self._tracing is not None:
            span = self._tracing.join(scope["path"], header.traceparent, header.tracestate, began)
        with span or nullcontext():
            found, headers = await handle(header, tensors, came + header.timeout)
        await answer(scope, send, 200, found, headers)  # whatever it wakes belongs to the connection

    async def _predict(self, header: FrameHeader, tensors: Tensors, deadline: float) -> Answer:
        runner, rows = self._rows(header, tensors)
        spec = runner.spec
        began = time.perf_counter()
        probabilities = await runner.predict(rows, deadline)
        self._metrics.ran(spec.name, "predict", began)
        return encode_frame(spec.name, spec.version, {"probabilities": probabilities}), _FRAME

    async def _infer(self, header: FrameHeader, tensors: Tensors, deadline: float) -> Answer:
        runner = self._registry.runner(header.model, header.version)
        began = time.perf_counter()
        outputs = await runner.infer(tensors, deadline)
        self._metrics.ran(runner.spec.name, "infer", began)
        return encode_frame(header.model, header.version, outputs), _FRAME

    async def _attribute(self, header: FrameHeader, tensors: Tensors, deadline: float) -> Answer:
        runner, rows = self._rows(header, tensors)
        began = time.perf_counter()
        probabilities, attributions = await runner.attribute(rows, deadline)
        self._metrics.ran(runner.spec.name, "attribute", began)
        found = {"probabilities": probabilities[0].tolist(), "attributions": attributions.model_dump()}
        return msgspec.json.encode(found), (JSON,)

    async def _status(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        await send_json(send, 200, msgspec.json.encode(self._registry.status()))

    async def _expose(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        models = tuple((spec.name, spec.version, spec.framework) for spec in self._registry.served)
        text = await asyncio.to_thread(dependency_exposition, self._metrics_folder, Facts(models=models))
        await send_bytes(send, 200, text, METRICS_HEADERS)

    async def _models(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] == "POST":
            try:
                change = msgspec.json.decode(await read_body(scope, receive, _MAX_CHANGE), type=Change)
            except msgspec.DecodeError as error:
                raise InvalidInput(f"This is no change of the models: {error}.") from None
            await (self._registry.load if change.load else self._registry.unload)(change.name, change.version)
        await send_json(send, 200, msgspec.json.encode(await self._registry.listing()))

    def _rows(self, header: FrameHeader, tensors: Tensors) -> tuple[EngineRunner, NDArray[np.float32]]:
        rows: NDArray[Any] | None = tensors.get("features")
        if rows is None or rows.dtype != np.float32:
            raise InvalidInput("The frame needs one FP32 tensor named 'features'.", param="features")
        return self._registry.runner(header.model, header.version), rows.astype(np.float32, copy=False)


async def send_error(send: Send, error: ServingError) -> None:
    """An error as the gateway reads it."""
    body = {"error": error.message, "param": error.param, "code": error.kind}
    headers = [(name.encode(), value.encode()) for name, value in error.headers().items()]
    await send_json(send, error.error_code, msgspec.json.encode(body), headers)
