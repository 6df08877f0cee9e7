"""What each path and gRPC method needs of a key. What is not listed needs `admin`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from services.gateway.control.keys import Scope

Need = tuple["Scope", ...]
"""Scopes, all of which a key must have; empty when any key will do."""

_ANY: Need = ()
_INFER: Need = ("infer",)
_CHAT: Need = ("chat",)
_ADMIN: Need = ("admin",)
_MODEL = "/v2/models/{model}"
_OIP = "/inference.GRPCInferenceService/"
_LLM = "/tandem.v1.InferenceService/"

OPEN: frozenset[str] = frozenset(
    {
        "/livez",
        "/healthz",
        "/readyz",
        "/openapi.json",
        "/docs.json",
        "/v2/health/live",
        "/v2/health/ready",
        f"{_OIP}ServerLive",
        f"{_OIP}ServerReady",
        "/grpc.health.v1.Health/Check",
        "/grpc.health.v1.Health/List",
        "/grpc.health.v1.Health/Watch",
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
    }
)
"""What orchestrators ask, without a key: it says whether the server works and nothing else. And what the API looks like."""

NEEDS: dict[str, Need] = {
    "/classify": _INFER,
    "/explain": ("infer", "chat"),
    "/explain_stream": ("infer", "chat"),
    "/health": _ADMIN,
    "/metrics": _ADMIN,
    "/v1/chat/completions": _CHAT,
    "/v1/completions": _CHAT,
    "/v1/responses": _CHAT,
    "/v1/embeddings": _CHAT,
    "/v1/models": _ANY,
    "/v1/models/{model}": _ANY,
    "/tokenize": _CHAT,
    "/detokenize": _CHAT,
    "/v2": _ANY,
    "/v2/repository/index": _ANY,
    **{
        f"{_MODEL}{version}{action}": need
        for version in ("", "/versions/{version}")
        for action, need in (("", _ANY), ("/ready", _ANY), ("/config", _ANY), ("/stats", _ANY), ("/infer", _INFER))
    },
    f"{_OIP}ModelReady": _ANY,
    f"{_OIP}ServerMetadata": _ANY,
    f"{_OIP}ModelMetadata": _ANY,
    f"{_OIP}ModelConfig": _ANY,
    f"{_OIP}ModelStatistics": _ANY,
    f"{_OIP}RepositoryIndex": _ANY,
    f"{_OIP}ModelInfer": _INFER,
    f"{_OIP}ModelStreamInfer": _INFER,
    f"{_LLM}Predict": _CHAT,
    f"{_LLM}StreamPredict": _CHAT,
}
"""By the template of a path, or by the name of a gRPC method."""


_TABLE: dict[str, Need | None] = {**dict.fromkeys(OPEN), **NEEDS}


def need_of(route: str) -> Need | None:
    """What `route` needs; None when it is open to all."""
    return _TABLE.get(route, _ADMIN)
