"""The Classifier's side of the hop: status, predictions and attributions for the gateway, as tensor frames."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from services.asgi import read_body, send_bytes, send_json
from services.classifier_routes import ATTRIBUTE_PATH, PREDICT_PATH
from services.errors import InvalidInput, ModelNotFound, ServingError
from services.frames import CONTENT_TYPE, FrameHeader, decode_frame, encode_frame
from services.runtime import STATUS_PATH

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from services.asgi import ASGIApp, Receive, Scope, Send
    from services.engine_runner import EngineRunner

_MAX_FRAME = 2**30


class HopApp:
    """Status, predictions and attributions for the gateway."""

    def __init__(self, runners: Mapping[str, EngineRunner], fallback: ASGIApp) -> None:
        self._runners = runners
        self._fallback = fallback

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        try:
            if path == PREDICT_PATH:
                header, runner, rows = self._decode(await read_body(scope, receive, _MAX_FRAME))
                probabilities = await runner.predict(rows)
                frame = encode_frame(header.model, header.version, {"probabilities": probabilities})
                await send_bytes(send, 200, frame, ((b"content-type", CONTENT_TYPE.encode()),))
            elif path == ATTRIBUTE_PATH:
                _, runner, rows = self._decode(await read_body(scope, receive, _MAX_FRAME))
                probabilities, attributions = await runner.attribute(rows)
                answer = {"probabilities": probabilities[0].tolist(), "attributions": attributions.model_dump()}
                await send_json(send, 200, msgspec.json.encode(answer))
            elif path == STATUS_PATH:
                await send_json(send, 200, msgspec.json.encode(self._status()))
            else:
                await self._fallback(scope, receive, send)
        except ServingError as error:
            await send_json(send, error.error_code, msgspec.json.encode({"error": error.message, "param": error.param}))

    def _status(self) -> dict[str, Any]:
        models = {name: runner.spec.version for name, runner in self._runners.items()}
        return {"state": "ready", "models": models}

    def _decode(self, body: bytes) -> tuple[FrameHeader, EngineRunner, NDArray[np.float32]]:
        header, tensors = decode_frame(body)
        runner = self._runners.get(header.model)
        if runner is None or (header.version and header.version != runner.spec.version):
            raise ModelNotFound(f"The Classifier has no model {header.model!r} of version {header.version!r}.")
        rows = tensors.get("features")
        if rows is None or rows.dtype != np.float32:
            raise InvalidInput("The frame needs one FP32 tensor named 'features'.", param="features")
        return header, runner, rows.astype(np.float32, copy=False)
