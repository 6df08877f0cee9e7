"""Streams at less cost in vLLM's server, which spends more on a chunk than anything else beside the model.

Three things that it does for every chunk and that change nothing of it are left out; in brackets what py-spy saw of its time at 64 streams:

- Its answers' classes check their own fields for ones that nobody knows, as requests have to (13 %).
- A chunk passes ten layers, middleware and FastAPI's own, which look at an answer's head alone (6 %).
- vLLM's settings are read from the environment each time; its engine keeps them in a cache, its server does not (3 %).

They are vLLM's internals, pinned with it in `requirements/`; `tests/integration/test_lean_streams.py` fails where one no longer applies.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.responses import StreamingResponse

if TYPE_CHECKING:
    from pydantic import BaseModel
    from starlette.applications import Starlette
    from starlette.types import Receive, Scope, Send

STRAIGHT = "tandem.straight"
"""The key of a request's scope under which stands what sends the pieces of its answer past all layers."""
_CHECK = "__log_extra_fields__"
_LOOK_AT_HEADS = frozenset(
    {
        "prometheus_fastapi_instrumentator.middleware.PrometheusInstrumentatorMiddleware",
        "starlette.middleware.cors.CORSMiddleware",
        "vllm.entrypoints.serve.elastic_ep.middleware.ScalingMiddleware",
        "vllm.entrypoints.serve.middleware.authenticate.AuthenticationMiddleware",
        "vllm.entrypoints.serve.middleware.x_request_id.XRequestIdMiddleware",
    }
)
"""The middleware of vLLM's server that sees nothing of an answer's body."""


def lighten(app: Starlette) -> None:
    """Let `app`, vLLM's server, do without all three; its pieces pass a layer that is not known all the same."""
    from vllm.envs import enable_envs_cache

    enable_envs_cache()
    for model in _chunk_models():
        _skip_check(model)
    if all(_name(layer.cls) in _LOOK_AT_HEADS for layer in app.user_middleware):
        for router in _routers():
            router.StreamingResponse = StraightResponse


class StraightResponse(StreamingResponse):
    """A stream whose head passes all layers, and whose pieces none, where the scope says how."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        straight: Send | None = scope.get(STRAIGHT)
        self._straight = straight or send
        await super().__call__(scope, receive, send)

    async def stream_response(self, send: Send) -> None:
        straight = self._straight
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        async for piece in self.body_iterator:
            body = piece.encode() if isinstance(piece, str) else piece
            await straight({"type": "http.response.body", "body": body, "more_body": True})
        await straight({"type": "http.response.body", "body": b"", "more_body": False})


def _chunk_models() -> tuple[type[BaseModel], ...]:
    """The classes of what is made for every chunk, those that others contain first."""
    from vllm.entrypoints.generate.base.protocol import DeltaMessage
    from vllm.entrypoints.openai.chat_completion import protocol as chat
    from vllm.entrypoints.openai.completion import protocol as completion

    return (
        DeltaMessage,
        chat.ChatCompletionResponseStreamChoice,
        chat.ChatCompletionStreamResponse,
        completion.CompletionResponseStreamChoice,
        completion.CompletionStreamResponse,
    )


def _skip_check(model: type[BaseModel]) -> None:
    if model.__pydantic_decorators__.model_validators.pop(_CHECK, None) is not None:
        model.model_rebuild(force=True)


def _name(layer: Any) -> str:
    return f"{layer.__module__}.{layer.__qualname__}"


def _routers() -> tuple[Any, ...]:
    from vllm.entrypoints.openai.chat_completion import api_router as chat
    from vllm.entrypoints.openai.completion import api_router as completion
    from vllm.entrypoints.openai.responses import api_router as responses

    return chat, completion, responses
