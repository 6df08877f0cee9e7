"""The Open Inference Protocol v2 over REST: `/v2/...`.

https://github.com/open-inference/open-inference-protocol has the protocol, Triton's documentation the extensions for binary
tensors and for the model repository.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from services.errors import InvalidInput
from services.gateway.oip.compression import decompressed
from services.gateway.oip.metadata import changed_version, model_metadata, repository_index, server_metadata
from services.gateway.oip.payloads import decode_request, encode_answer

if TYPE_CHECKING:
    from collections.abc import Callable

    from models.spec import ModelSpec
    from services.gateway.dataplane import DataPlane
    from services.gateway.exchange import Exchange

MODELS_PREFIX = "/v2/models/"
REPOSITORY_PREFIX = "/v2/repository/models/"
_MODEL = 3
"""Position of the model's name among the parts of a path."""
Decoded = TypeVar("Decoded")
_JSON_LENGTH = b"inference-header-content-length"


class _IndexRequest(msgspec.Struct):
    ready: bool = False


class _ChangeRequest(msgspec.Struct):
    parameters: dict[str, Any] = {}


_decode_index = msgspec.json.Decoder(_IndexRequest).decode
_decode_change = msgspec.json.Decoder(_ChangeRequest).decode


class OIPRoutes:
    """Handlers of the protocol over one data plane."""

    def __init__(self, dataplane: DataPlane) -> None:
        self._dataplane = dataplane

    async def server(self, exchange: Exchange) -> None:
        """`GET /v2`: the server's name, version and extensions."""
        await exchange.json(200, msgspec.json.encode(server_metadata()))

    async def live(self, exchange: Exchange) -> None:
        """`GET /v2/health/live`: the gateway answers."""
        await exchange.json(200, b'{"live":true}')

    async def ready(self, exchange: Exchange) -> None:
        """`GET /v2/health/ready`: every model of this protocol takes requests; 503 and why when not."""
        self._dataplane.require_models()
        await exchange.json(200, b'{"ready":true}')

    async def index(self, exchange: Exchange) -> None:
        """`POST /v2/repository/index`: what the model store holds, or with `{"ready": true}` what is served."""
        only_ready = _decoded(await exchange.body(), _decode_index).ready
        listed = repository_index(await self._dataplane.repository(), only_ready=only_ready)
        await exchange.json(200, msgspec.json.encode(listed))

    async def load(self, exchange: Exchange) -> None:
        """`POST /v2/repository/models/{name}/load`: serve the newest version, or the one that `parameters` name."""
        name, version = await self._change(exchange)
        await self._dataplane.load_model(name, version)
        exchange.line.model, exchange.line.version = name, version
        await exchange.json(200, b"{}")

    async def unload(self, exchange: Exchange) -> None:
        """`POST /v2/repository/models/{name}/unload`: serve a model no more, or the version that `parameters` name."""
        name, version = await self._change(exchange)
        await self._dataplane.unload_model(name, version)
        exchange.line.model, exchange.line.version = name, version
        await exchange.json(200, b"{}")

    async def model(self, exchange: Exchange) -> None:
        """`GET /v2/models/{name}`: what the model takes and gives."""
        spec = self._spec(exchange)
        metadata = model_metadata(spec, self._dataplane.versions(spec.name))
        await exchange.json(200, msgspec.json.encode(metadata))

    async def model_ready(self, exchange: Exchange) -> None:
        """`GET /v2/models/{name}/ready`: the model takes requests; 404 when there is none, 503 while it does not."""
        spec = self._spec(exchange)
        self._dataplane.require_models()
        await exchange.json(200, msgspec.json.encode({"name": spec.name, "version": spec.version, "ready": True}))

    async def infer(self, exchange: Exchange) -> None:
        """`POST /v2/models/{name}/infer`: the outputs for the inputs that came."""
        spec = self._spec(exchange)
        body = await exchange.body()
        json_length = encoding = None
        for name, value in exchange.scope["headers"]:
            if name == _JSON_LENGTH:
                json_length = value.decode("latin-1")
            elif name == b"content-encoding":
                encoding = value.decode("latin-1").lower()
        if encoding is not None:
            body = decompressed(body, encoding, exchange.body_limit)
        request = decode_request(body, json_length)
        exchange.line.rows = next((len(array) for array in request.tensors.values() if array.ndim), 0)
        outputs = await self._dataplane.infer(spec, request.tensors, request.outputs)
        answer, head = encode_answer(spec, request, outputs)
        if head is None:
            await exchange.json(200, answer)
        else:
            length = ((_JSON_LENGTH, b"%d" % head),)
            await exchange.whole(200, answer, b"application/octet-stream", length)

    async def _change(self, exchange: Exchange) -> tuple[str, str]:
        """The model and version that a repository call is about."""
        parameters = _decoded(await exchange.body(), _decode_change).parameters
        return exchange.scope["path"].split("/")[_MODEL + 1], changed_version(parameters)

    def _spec(self, exchange: Exchange) -> ModelSpec:
        parts = exchange.scope["path"].split("/")
        has_version = len(parts) > _MODEL + 2 and parts[_MODEL + 1] == "versions"
        spec = self._dataplane.spec(parts[_MODEL], parts[_MODEL + 2] if has_version else None)
        exchange.line.model, exchange.line.version = spec.name, spec.version
        return spec


def repository_template(path: str) -> str | None:
    """As `model_template`, for a path under `REPOSITORY_PREFIX`."""
    rest = path.split("/")[_MODEL + 2 :]
    return f"{REPOSITORY_PREFIX}{{model}}/{rest[0]}" if rest in (["load"], ["unload"]) else None


def _decoded(body: bytes, decode: Callable[[bytes], Decoded]) -> Decoded:
    """A body that may be left out."""
    try:
        return decode(body or b"{}")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidInput(f"The body is not what this call takes: {error}.") from None


def model_template(path: str) -> str | None:
    """The route that a path under `MODELS_PREFIX` takes, with names in the place of its parameters; None when there is none."""
    rest = path.split("/")[_MODEL + 1 :]
    version = ""
    if len(rest) > 1 and rest[0] == "versions" and rest[1]:
        version, rest = "/versions/{version}", rest[2:]
    return _TEMPLATES.get((version, *rest))


_TEMPLATES = {
    (version, *action): "/".join((f"{MODELS_PREFIX}{{model}}{version}", *action))
    for version in ("", "/versions/{version}")
    for action in ((), ("ready",), ("infer",))
}
