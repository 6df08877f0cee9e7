"""The OpenAI API, passed through to vLLM's own app, byte for byte where it succeeds.

A request is sent on to the path that `PASSED_THROUGH` names, never to the one that the client wrote: vLLM's admin routes
cannot be reached, however a path is encoded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from services.errors import InvalidInput, ModelNotFound, Unavailable
from services.gateway.openai.errors import normalised
from services.gateway.openai.streaming import relayed

if TYPE_CHECKING:
    from services.gateway.dataplane import DataPlane
    from services.gateway.exchange import Exchange

PASSED_THROUGH = (
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/responses",
    "/v1/embeddings",
    "/tokenize",
    "/detokenize",
)
"""Paths whose POST reaches vLLM."""

MODELS_PATH = "/v1/models"
_EVENT_STREAM = "text/event-stream"
_NOT_CACHED = ((b"cache-control", b"no-store"),)
_OK = 200
_UNAVAILABLE = 503


class _Peek(msgspec.Struct):
    model: str | None = None


_peek = msgspec.json.Decoder(_Peek).decode


class _Listing(msgspec.Struct):
    data: list[dict[str, Any]]


class OpenAIRoutes:
    """Handlers of the OpenAI API over one data plane."""

    def __init__(self, dataplane: DataPlane) -> None:
        self._dataplane = dataplane

    async def passed_through(self, exchange: Exchange) -> None:
        """Any path of `PASSED_THROUGH`."""
        path: str = exchange.scope["path"]
        body = await exchange.body()
        self._check(body, exchange)
        await exchange.while_connected(self._relay(exchange, path, body))

    async def models(self, exchange: Exchange) -> None:
        """`GET /v1/models`."""
        await exchange.json(_OK, msgspec.json.encode({"object": "list", "data": await self._listed()}))

    async def model(self, exchange: Exchange) -> None:
        """`GET /v1/models/{name}`, which vLLM itself lacks; a hub id keeps its slash."""
        name = exchange.scope["path"].removeprefix(MODELS_PATH + "/")
        listed = await self._listed()
        found = next((model for model in listed if model.get("id") == name), None)
        if found is None:
            served = ", ".join(str(model.get("id")) for model in listed)
            raise ModelNotFound(f"The model {name!r} does not exist. Served: {served}.", param="model")
        await exchange.json(_OK, msgspec.json.encode(found))

    def _check(self, body: bytes, exchange: Exchange) -> None:
        """What can be told from here, with a better message and no hop: JSON at all, and a model that is served."""
        try:
            body.decode()  # msgspec does not look into texts that it passes over
            model = _peek(body).model
        except msgspec.ValidationError:
            raise InvalidInput("The body must be a JSON object with a string `model`.", param="model") from None
        except RecursionError:
            raise InvalidInput("The body is nested too deeply.") from None
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise InvalidInput(f"The body is not valid JSON: {error}.") from None
        served = self._dataplane.llm_models()
        if model is not None and served and model not in served:
            raise ModelNotFound(f"The model {model!r} does not exist. Served: {', '.join(served)}.", param="model")
        exchange.line.model = (model or served[0]) if served else ""

    async def _relay(self, exchange: Exchange, path: str, body: bytes) -> None:
        headers = {"content-type": "application/json", "x-request-id": exchange.line.request_id}
        async with self._dataplane.generate("POST", path, body, headers) as response:
            if response.headers.get("content-type", "").startswith(_EVENT_STREAM):
                await exchange.stream(
                    _OK, relayed(response, exchange.send_at_once), _EVENT_STREAM.encode(), _NOT_CACHED
                )
                return
            answer = await response.read()
        if response.status == _UNAVAILABLE:
            raise Unavailable("The language model is not ready.", retry_after=5)
        if response.status == _OK:
            await exchange.json(_OK, answer)
        else:
            status, answer = normalised(response.status, answer, path)
            await exchange.json(status, answer)

    async def _listed(self) -> list[dict[str, Any]]:
        """The models as vLLM lists them, less where they lie on this machine."""
        async with self._dataplane.generate("GET", MODELS_PATH, b"", {}) as response:
            status, answer = response.status, await response.read()
        try:
            listed = msgspec.json.decode(answer, type=_Listing).data if status == _OK else None
        except (msgspec.DecodeError, UnicodeDecodeError):
            listed = None
        if listed is None:
            raise Unavailable("The language model does not say what it serves.", retry_after=5)
        return [{**model, "root": model["id"]} if "root" in model and "id" in model else model for model in listed]
