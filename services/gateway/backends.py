"""How the data plane reaches models: one adapter a dependency, each a Protocol first so that tests need no network."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from models.spec import Attributions
from services.classifier.routes import (
    ATTRIBUTE_PATH,
    INFER_PATH,
    MODELS_PATH,
    PREDICT_PATH,
    Change,
    Generation,
    Listing,
)
from services.errors import InternalError, InvalidInput, ModelLoadFailed, NotRunning, ServingError, error_for
from services.frames import CONTENT_TYPE, decode_frame, encode_frame
from services.gateway.agreement import merged, together
from services.gateway.control.work import seconds_left
from services.gateway.stacking import grouped, row_count, split, stacked
from services.runtime import STATUS_PATH
from services.telemetry.spans import CLIENT, current_span

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from contextlib import AbstractAsyncContextManager

    from models.spec import ModelSpec
    from services.gateway.replicas import Replicas
    from services.gateway.streamed import Answer
    from services.gateway.upstream import Upstream
    from services.tensors import Tensor, Tensors

T = TypeVar("T")

Row = tuple[float, ...]
"""Feature values of one row, in the order of `ModelSpec.features`."""

Rows = Sequence[Row] | NDArray[np.float32]
RowProbabilities = list[list[float]] | NDArray[np.float32]

_FRAME_HEADERS = {"content-type": CONTENT_TYPE}
_JSON_HEADERS = {"content-type": "application/json"}


class ClassifierBackend(Protocol):
    """What the data plane asks of the classical models."""

    def listen(self, listener: Callable[[int], None]) -> None:
        """Call `listener` with how many replicas take requests: now, and when it changes."""
        ...

    async def predict(self, spec: ModelSpec, payloads: Sequence[Rows]) -> list[RowProbabilities]:
        """For each payload of rows, the class probabilities of each row: in a list, rounded to six decimals, for a
        payload of tuples, and in an array, as the model gave them, for an array.
        """
        ...

    async def infer(self, spec: ModelSpec, payloads: Sequence[Tensors]) -> list[Tensors]:
        """For each payload of inputs by name, the outputs by name. Several payloads share a call where they can."""
        ...

    async def attribute(self, spec: ModelSpec, row: Row) -> tuple[list[float], Attributions]:
        """Class probabilities and attributions of one row."""
        ...

    async def generation(self) -> Generation:
        """How often what is served has changed."""
        ...

    async def listing(self) -> Listing:
        """What is served, and what else is stored."""
        ...

    async def change(self, change: Change) -> Listing:
        """Load or unload a model; the listing once every worker has done so."""
        ...


class LLMBackend(Protocol):
    """What the data plane asks of the language model: its OpenAI app, request for request."""

    def stream(
        self, method: str, path: str, body: bytes, headers: dict[str, str]
    ) -> AbstractAsyncContextManager[Answer]:
        """One request, its answer still to be read; leaving the context early stops the generation."""
        ...

    async def call(
        self, method: str, path: str, body: bytes, headers: Mapping[str, str] | None = None
    ) -> tuple[int, bytes]:
        """Status and whole body of one request of JSON, with more headers than that says where some are given."""
        ...


class RemoteClassifier:
    """The Classifier service over the hop."""

    def __init__(self, upstream: Upstream | Replicas, timeout: float, load_timeout: float) -> None:
        """`timeout` is for predictions, `load_timeout` for changes of what is served, both in seconds."""
        self._upstream = upstream
        self._timeout = timeout
        self._load_timeout = load_timeout

    def listen(self, listener: Callable[[int], None]) -> None:
        self._upstream.listen(listener)

    async def predict(self, spec: ModelSpec, payloads: Sequence[Rows]) -> list[RowProbabilities]:
        arrays = [isinstance(payload, np.ndarray) for payload in payloads]
        rows = (
            np.concatenate([np.asarray(payload, np.float32) for payload in payloads])
            if any(arrays)
            else np.array([row for payload in payloads for row in payload], np.float32)
        ).reshape(-1, len(spec.features))
        probabilities = (await self._post_tensors(PREDICT_PATH, spec, {"features": rows})).get("probabilities")
        if probabilities is None or len(probabilities) != len(rows):
            raise InternalError(f"{spec.name} did not answer {len(rows)} rows with as many.")
        listed = [] if all(arrays) else probabilities.astype(np.float64).round(6).tolist()
        results = []
        start = 0
        for payload, is_array in zip(payloads, arrays, strict=True):
            end = start + len(payload)
            results.append(probabilities[start:end] if is_array else listed[start:end])
            start = end
        return results

    async def infer(self, spec: ModelSpec, payloads: Sequence[Tensors]) -> list[Tensors]:
        if len(payloads) == 1:
            return [await self._post_tensors(INFER_PATH, spec, payloads[0])]
        results: dict[int, Tensors] = {}
        for group in grouped(payloads):
            answer = await self._post_tensors(INFER_PATH, spec, stacked([payloads[index] for index in group]))
            counts = [row_count(payloads[index]) for index in group]
            results.update(zip(group, split(spec, answer, counts), strict=True))
        return [results[index] for index in range(len(payloads))]

    async def attribute(self, spec: ModelSpec, row: Row) -> tuple[list[float], Attributions]:
        answer = msgspec.json.decode(await self._post(ATTRIBUTE_PATH, spec, {"features": np.array([row], np.float32)}))
        return answer["probabilities"], Attributions.model_validate(answer["attributions"])

    async def generation(self) -> Generation:
        return together(await self._of_each(self._generation))

    async def listing(self) -> Listing:
        return merged(await self._of_each(self._listing))

    async def change(self, change: Change) -> Listing:
        """Each Classifier makes it, all at once. Loading fails when it fails at one of them; there is something to unload
        when one of them has it.
        """
        replicas = self._upstream.each()
        if len(replicas) > 1:
            runs = await asyncio.gather(*(self._generation(replica) for replica in replicas))
            replicas = list({one.run: replica for one, replica in zip(runs, replicas, strict=True)}.values())
        return merged(await self._of_each(lambda one: self._change(one, change), replicas, all_must=change.load))

    async def _generation(self, replica: Upstream) -> Generation:
        status, body = await replica.call("GET", STATUS_PATH, headers={}, timeout=self._timeout)
        return _decoded(status, body, Generation)

    async def _listing(self, replica: Upstream) -> Listing:
        status, body = await replica.call("GET", MODELS_PATH, headers={}, timeout=self._timeout)
        return _decoded(status, body, Listing)

    async def _change(self, replica: Upstream, change: Change) -> Listing:
        status, body = await replica.call(
            "POST", MODELS_PATH, body=msgspec.json.encode(change), headers=_JSON_HEADERS, timeout=self._load_timeout
        )
        return _decoded(status, body, Listing)

    async def _of_each(
        self,
        ask: Callable[[Upstream], Awaitable[T]],
        replicas: Sequence[Upstream] | None = None,
        *,
        all_must: bool = False,
    ) -> list[T]:
        """What each Classifier answers; without `all_must` it is enough that one of them does."""
        asked = self._upstream.each() if replicas is None else replicas
        found = await asyncio.gather(*(ask(replica) for replica in asked), return_exceptions=True)
        answers = [one for one in found if not isinstance(one, BaseException)]
        problems = [one for one in found if isinstance(one, BaseException)]
        if problems and (all_must or not answers or not all(isinstance(one, ServingError) for one in problems)):
            raise problems[0]
        if not answers:
            raise NotRunning("The Classifier is not running.")
        return answers

    async def _post_tensors(self, path: str, spec: ModelSpec, tensors: Tensors) -> dict[str, Tensor]:
        answer = await self._post(path, spec, tensors)
        try:
            return decode_frame(answer)[1]
        except InvalidInput as error:  # not the caller's fault
            raise InternalError(f"The Classifier's answer cannot be read: {error.message}") from None

    async def _post(self, path: str, spec: ModelSpec, tensors: Tensors) -> bytes:
        timeout = seconds_left(self._timeout)
        above = current_span()
        if above is None:
            frame = encode_frame(spec.name, spec.version, tensors, timeout=timeout)
            return await self._ask(path, frame, seconds_left(self._timeout))
        hop = above.child("hop", {"tandem.model.name": spec.name, "tandem.model.version": spec.version}, kind=CLIENT)
        try:
            parent, state = hop.traceparent, hop.trace_state
            frame = encode_frame(
                spec.name, spec.version, tensors, traceparent=parent, tracestate=state, timeout=timeout
            )
            hop.attributes["tandem.bytes"] = len(frame)
            return await self._ask(path, frame, seconds_left(self._timeout))
        except BaseException as error:
            hop.fail_with(error)
            raise
        finally:
            hop.end()

    async def _ask(self, path: str, frame: bytes, timeout: float) -> bytes:
        status, body = await self._upstream.call("POST", path, body=frame, headers=_FRAME_HEADERS, timeout=timeout)
        if status != 200:  # noqa: PLR2004
            raise _error(status, body)
        return body


def _decoded(status: int, body: bytes, kind: type[T]) -> T:
    if status != 200:  # noqa: PLR2004
        raise _error(status, body)
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise InternalError("What the Classifier says of its models cannot be read.") from None


def _error(status: int, body: bytes) -> ServingError:
    try:
        answer = msgspec.json.decode(body)
        message, kind = str(answer["error"]), answer.get("code")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, KeyError, TypeError, AttributeError):
        message, kind = "The Classifier failed on this request.", None
    return (ModelLoadFailed if kind == ModelLoadFailed.kind else error_for(status))(message)


class RemoteLLM:
    """The LLM service's OpenAI app over the hop."""

    def __init__(self, upstream: Upstream | Replicas, idle_timeout: float) -> None:
        self._upstream = upstream
        self._idle_timeout = idle_timeout

    def stream(
        self, method: str, path: str, body: bytes, headers: dict[str, str]
    ) -> AbstractAsyncContextManager[Answer]:
        return self._upstream.stream(method, path, body=body, headers=headers, idle_timeout=self._idle_timeout)

    async def call(
        self, method: str, path: str, body: bytes, headers: Mapping[str, str] | None = None
    ) -> tuple[int, bytes]:
        headers = {**_JSON_HEADERS, **(headers or {})}
        return await self._upstream.call(method, path, body=body, headers=headers, timeout=self._idle_timeout)
