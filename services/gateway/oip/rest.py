"""The Open Inference Protocol v2 over REST: `/v2/...`.

https://github.com/open-inference/open-inference-protocol has the protocol, Triton's documentation the extensions for binary
tensors and for the model repository.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from services.errors import InvalidInput
from services.gateway.oip.metadata import model_metadata, repository_index, server_metadata
from services.gateway.oip.payloads import decode_request, encode_answer

if TYPE_CHECKING:
    from models.spec import ModelSpec
    from services.gateway.dataplane import DataPlane
    from services.gateway.exchange import Exchange

MODELS_PREFIX = "/v2/models/"
_MODEL = 3
"""Position of the model's name among the parts of a path."""
_JSON_LENGTH = b"inference-header-content-length"


class _IndexRequest(msgspec.Struct):
    ready: bool = False


_decode_index = msgspec.json.Decoder(_IndexRequest).decode


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
        """`POST /v2/repository/index`: the models, those that are ready alone where `{"ready": true}` is asked."""
        body = await exchange.body()
        try:
            only_ready = _decode_index(body).ready if body else False
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise InvalidInput(f"The body must be a JSON object, with a boolean `ready` if any: {error}.") from None
        ready = self._dataplane.seen("classifier").ready
        listed = repository_index(self._dataplane.specs.values(), ready=ready) if ready or not only_ready else []
        await exchange.json(200, msgspec.json.encode(listed))

    async def model(self, exchange: Exchange) -> None:
        """`GET /v2/models/{name}`: what the model takes and gives."""
        await exchange.json(200, msgspec.json.encode(model_metadata(self._spec(exchange))))

    async def model_ready(self, exchange: Exchange) -> None:
        """`GET /v2/models/{name}/ready`: the model takes requests; 404 when there is none, 503 while it does not."""
        spec = self._spec(exchange)
        self._dataplane.require_models()
        await exchange.json(200, msgspec.json.encode({"name": spec.name, "version": spec.version, "ready": True}))

    async def infer(self, exchange: Exchange) -> None:
        """`POST /v2/models/{name}/infer`: the outputs for the inputs that came."""
        spec = self._spec(exchange)
        body = await exchange.body()
        request = decode_request(body, exchange.header(_JSON_LENGTH))
        exchange.line.rows = next((len(array) for array in request.tensors.values() if array.ndim), 0)
        outputs = await self._dataplane.infer(spec, request.tensors, request.outputs)
        answer, json_length = encode_answer(spec, request, outputs)
        if json_length is None:
            await exchange.json(200, answer)
        else:
            length = ((_JSON_LENGTH, b"%d" % json_length),)
            await exchange.whole(200, answer, b"application/octet-stream", length)

    def _spec(self, exchange: Exchange) -> ModelSpec:
        parts = exchange.scope["path"].split("/")
        has_version = len(parts) > _MODEL + 2 and parts[_MODEL + 1] == "versions"
        spec = self._dataplane.spec(parts[_MODEL], parts[_MODEL + 2] if has_version else None)
        exchange.line.model = spec.name
        return spec


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
