"""The LLM service's own ASGI app: its status at any time, vLLM's app once it is there, and 503 until then."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

import msgspec

from services.asgi import send_bytes, send_json
from services.channel import CHANNEL_PATH
from services.errors import InternalError, ServingError, Unavailable
from services.llm.channels import Channels, Sender
from services.llm.lean_streams import STRAIGHT
from services.runtime import METRICS_HEADERS, METRICS_PATH, STATUS_PATH
from services.telemetry.dependency import dependency_exposition
from services.telemetry.exposition import Facts

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from services.asgi import ASGIApp, Receive, Scope, Send

State = Literal["starting", "ready", "failed", "hung"]

_RETRY_STARTING = 2
_RETRY_FAILED = 30

logger = logging.getLogger("tandem.llm")


@dataclass(frozen=True)
class EngineStatus:
    """How the engine is."""

    state: State
    reason: str | None
    """Why it is not ready, in one sentence; None when it is."""
    model: str
    models: tuple[str, ...]
    """Every name that clients may ask for: the model's, then those of its LoRA adapters."""
    loading_seconds: float
    """How long loading has taken, or took."""


class EngineHost(Protocol):
    """Who loads and watches the engine."""

    @property
    def status(self) -> EngineStatus: ...

    @property
    def app(self) -> ASGIApp | None:
        """The engine's app, while it is ready."""
        ...


class EngineFront:
    """Hands each request to vLLM's app untouched, and its answer back byte for byte, over a channel where the request names one."""

    def __init__(
        self,
        host: EngineHost,
        gpus: Callable[[], Sequence[Mapping[str, Any]] | None],
        metrics_folder: Path | None,
        channels: Channels,
    ) -> None:
        """`metrics_folder` is where all processes of this server count, vLLM's too."""
        self._host = host
        self._gpus = gpus
        self._metrics_folder = metrics_folder
        self._channels = channels
        self.active_requests = 0
        """Requests that vLLM is answering; what only asks how it is does not count."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        if path == STATUS_PATH:
            await send_json(send, 200, msgspec.json.encode(self._status()))
        elif path == METRICS_PATH:
            await send_bytes(send, 200, await asyncio.to_thread(self._exposition), METRICS_HEADERS)
        elif path == CHANNEL_PATH:
            await self._channels.serve(receive, send)
        elif path in ("/livez", "/healthz"):
            await send_bytes(send, 200, b"", ())
        elif path == "/readyz":
            if self._host.status.state == "ready":
                await send_bytes(send, 200, b"", ())
            else:
                await send_bytes(send, 503, b"", ((b"retry-after", b"%d" % _RETRY_STARTING),))
        elif (app := self._host.app) is None:
            await send_error(send, self._unavailable())
        elif scope["method"] == "POST":
            self.active_requests += 1
            try:
                await _hand_over(app, scope, receive, self._channels.sender(scope, send))
            finally:
                self.active_requests -= 1
        else:
            await _hand_over(app, scope, receive, Sender(send))

    def _status(self) -> dict[str, Any]:
        status = self._host.status
        return {
            "state": status.state,
            "reason": status.reason,
            "model": status.model,
            "models": status.models,
            "loading_seconds": round(status.loading_seconds, 1),
            "active_requests": self.active_requests,
            "gpu_memory": self._gpus(),
        }

    def _exposition(self) -> bytes:
        status = self._host.status
        models = tuple((model, "", "vllm") for model in status.models) if status.state == "ready" else ()
        return dependency_exposition(self._metrics_folder, Facts(models=models, gpus=tuple(self._gpus() or ())))

    def _unavailable(self) -> Unavailable:
        status = self._host.status
        if status.state == "failed":
            return Unavailable("The language model could not be started.", retry_after=_RETRY_FAILED)
        return Unavailable(status.reason or "The language model is starting.", retry_after=_RETRY_STARTING)


async def _hand_over(app: ASGIApp, scope: Scope, receive: Receive, send: Sender) -> None:
    scope[STRAIGHT] = send
    try:
        await app(scope, receive, send)
    except Exception:
        # Raising before the first byte would leave the client to wait; after it, the server closes the connection,
        # which is how a client sees that its answer is incomplete.
        if send.started:
            raise
        logger.exception("vLLM's app raised on %s", scope["path"])
        await send_error(send, InternalError("The language model failed on this request."))
    finally:
        send.leave()


async def send_error(send: Send, error: ServingError) -> None:
    """An error in OpenAI's shape."""
    kind = "server_error" if error.error_code >= 500 else "invalid_request_error"  # noqa: PLR2004 - HTTP's own
    body = {"error": {"message": error.message, "type": kind, "param": None, "code": error.kind}}
    headers = [(name.encode(), value.encode()) for name, value in error.headers().items()]
    await send_json(send, error.error_code, msgspec.json.encode(body), headers)
