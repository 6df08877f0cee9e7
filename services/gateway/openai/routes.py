"""The OpenAI API, passed through to vLLM's own app, byte for byte where it succeeds.

A request is sent on to the path that `PASSED_THROUGH` names, never to the one that the client wrote: vLLM's admin routes
cannot be reached, however a path is encoded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from services.errors import ModelNotFound
from services.gateway.openai.errors import normalised
from services.gateway.openai.streaming import relayed

if TYPE_CHECKING:
    from services.gateway.dataplane import DataPlane
    from services.gateway.exchange import Exchange

PASSED_THROUGH = {
    "/v1/chat/completions": "POST",
    "/v1/completions": "POST",
    "/v1/responses": "POST",
    "/v1/embeddings": "POST",
    "/v1/models": "GET",
    "/tokenize": "POST",
    "/detokenize": "POST",
}
"""Paths that reach vLLM, and the one method each takes."""

MODELS_PATH = "/v1/models"
_EVENT_STREAM = "text/event-stream"
_NOT_CACHED = ((b"cache-control", b"no-store"),)
_OK = 200


class OpenAIRoutes:
    """Handlers of the OpenAI API over one data plane."""

    def __init__(self, dataplane: DataPlane) -> None:
        self._dataplane = dataplane

    async def passed_through(self, exchange: Exchange) -> None:
        """Any path of `PASSED_THROUGH`."""
        body = await exchange.body()
        await exchange.while_connected(self._relay(exchange, exchange.scope["path"], body))

    async def model(self, exchange: Exchange) -> None:
        """`GET /v1/models/{name}`, which vLLM itself lacks; a hub id keeps its slash."""
        name = exchange.scope["path"].removeprefix(MODELS_PATH + "/")
        async with self._dataplane.generate("GET", MODELS_PATH, b"", {}) as response:
            listed: list[dict[str, Any]] = msgspec.json.decode(await response.read())["data"]
        found = next((model for model in listed if model["id"] == name), None)
        if found is None:
            served = ", ".join(model["id"] for model in listed)
            raise ModelNotFound(f"The model {name!r} does not exist. Served: {served}.", param="model")
        await exchange.json(_OK, msgspec.json.encode(found))

    async def _relay(self, exchange: Exchange, path: str, body: bytes) -> None:
        headers = {"content-type": "application/json", "x-request-id": exchange.line.request_id}
        async with self._dataplane.generate(PASSED_THROUGH[path], path, body, headers) as response:
            if response.headers.get("content-type", "").startswith(_EVENT_STREAM):
                await exchange.stream(_OK, relayed(response), _EVENT_STREAM.encode(), _NOT_CACHED)
                return
            answer = await response.read()
        status, answer = (_OK, answer) if response.status == _OK else normalised(response.status, answer)
        await exchange.json(status, answer)
