"""How the data plane reaches models: one adapter a dependency, each a Protocol first so that tests need no network."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Protocol

import msgspec
import numpy as np

from models.spec import Attributions
from services.classifier_routes import ATTRIBUTE_PATH, PREDICT_PATH
from services.errors import InternalError, InvalidInput, ModelNotFound, ServingError, Unavailable
from services.frames import CONTENT_TYPE, decode_frame, encode_frame

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from contextlib import AbstractAsyncContextManager

    import aiohttp

    from models.spec import ModelSpec
    from services.gateway.upstream import Upstream

Row = tuple[float, ...]
"""Feature values of one row, in the order of `ModelSpec.features`."""

_FRAME_HEADERS = {"content-type": CONTENT_TYPE}


class ClassifierBackend(Protocol):
    """What the data plane asks of the classical models."""

    async def predict(self, spec: ModelSpec, payloads: Sequence[Sequence[Row]]) -> list[list[list[float]]]:
        """For each payload of rows, one list of class probabilities a row."""
        ...

    async def attribute(self, spec: ModelSpec, row: Row) -> tuple[list[float], Attributions]:
        """Class probabilities and attributions of one row."""
        ...


class LLMBackend(Protocol):
    """What the data plane asks of the language model: its OpenAI app, request for request."""

    def stream(
        self, method: str, path: str, body: bytes, headers: dict[str, str]
    ) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        """One request, its answer still to be read; leaving the context early stops the generation."""
        ...

    async def call(self, method: str, path: str, body: bytes) -> tuple[int, bytes]:
        """Status and whole body of one request."""
        ...


class RemoteClassifier:
    """The Classifier service over the hop."""

    def __init__(self, upstream: Upstream, timeout: float) -> None:
        self._upstream = upstream
        self._timeout = timeout

    async def predict(self, spec: ModelSpec, payloads: Sequence[Sequence[Row]]) -> list[list[list[float]]]:
        rows = np.array([row for payload in payloads for row in payload], np.float32).reshape(-1, len(spec.features))
        _, tensors = decode_frame(await self._post(PREDICT_PATH, spec, rows))
        probabilities = tensors["probabilities"]
        if len(probabilities) != len(rows):
            raise InternalError(f"{spec.name} answered {len(rows)} rows with {len(probabilities)}.")
        answers: list[list[float]] = probabilities.astype(np.float64).round(6).tolist()
        results = []
        start = 0
        for payload in payloads:
            end = start + len(payload)
            results.append(answers[start:end])
            start = end
        return results

    async def attribute(self, spec: ModelSpec, row: Row) -> tuple[list[float], Attributions]:
        answer = msgspec.json.decode(await self._post(ATTRIBUTE_PATH, spec, np.array([row], np.float32)))
        return answer["probabilities"], Attributions.model_validate(answer["attributions"])

    async def _post(self, path: str, spec: ModelSpec, rows: np.ndarray[Any, np.dtype[np.float32]]) -> bytes:
        frame = encode_frame(spec.name, spec.version, {"features": rows})
        status, body = await self._upstream.call(
            "POST", path, body=frame, headers=_FRAME_HEADERS, timeout=self._timeout
        )
        if status != 200:  # noqa: PLR2004
            raise _error(status, body)
        return body


_BY_STATUS: dict[int, type[ServingError]] = {400: InvalidInput, 404: ModelNotFound, 503: Unavailable}


def _error(status: int, body: bytes) -> ServingError:
    try:
        message = str(msgspec.json.decode(body)["error"])
    except (msgspec.DecodeError, KeyError, TypeError):
        message = "The Classifier failed on this request."
    return _BY_STATUS.get(status, InternalError)(message)


class RemoteLLM:
    """The LLM service's OpenAI app over the hop."""

    def __init__(self, upstream: Upstream, idle_timeout: float) -> None:
        self._upstream = upstream
        self._idle_timeout = idle_timeout

    @asynccontextmanager
    async def stream(
        self, method: str, path: str, body: bytes, headers: dict[str, str]
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        async with self._upstream.stream(
            method, path, body=body, headers=headers, idle_timeout=self._idle_timeout
        ) as response:
            yield response

    async def call(self, method: str, path: str, body: bytes) -> tuple[int, bytes]:
        headers = {"content-type": "application/json"}
        return await self._upstream.call(method, path, body=body, headers=headers, timeout=self._idle_timeout)
