"""The Open Inference Protocol v2 over gRPC: `inference.GRPCInferenceService`, with the messages that tritonclient ships."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from tritonclient.grpc import service_pb2 as pb

from services.errors import ModelNotFound, ServingError
from services.gateway.oip.messages import answer_to, outputs_of, tensors_of
from services.gateway.oip.metadata import changed_version, model_metadata, repository_index, server_metadata

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from services.gateway.dataplane import DataPlane
    from services.gateway.rpc.calls import Call, Work

SERVICE = pb.DESCRIPTOR.services_by_name["GRPCInferenceService"]
_STREAM_DEPTH = 16
"""Requests of one stream that are worked on at once."""


class OIPService:
    """The service's methods over one data plane."""

    def __init__(self, dataplane: DataPlane) -> None:
        self._dataplane = dataplane

    @property
    def methods(self) -> dict[str, Work]:
        """The methods by name."""
        return {
            "ServerLive": self.server_live,
            "ServerReady": self.server_ready,
            "ModelReady": self.model_ready,
            "ServerMetadata": self.server_metadata,
            "ModelMetadata": self.model_metadata,
            "ModelInfer": self.model_infer,
            "ModelStreamInfer": self.model_stream_infer,
            "RepositoryIndex": self.repository_index,
            "RepositoryModelLoad": self.repository_model_load,
            "RepositoryModelUnload": self.repository_model_unload,
        }

    async def server_live(self, _request: pb.ServerLiveRequest, _: Call) -> pb.ServerLiveResponse:
        """Whether the gateway answers."""
        return pb.ServerLiveResponse(live=True)

    async def server_ready(self, _request: pb.ServerReadyRequest, _: Call) -> pb.ServerReadyResponse:
        """Whether the models of this protocol take requests."""
        return pb.ServerReadyResponse(ready=self._dataplane.seen("classifier").ready)

    async def model_ready(self, request: pb.ModelReadyRequest, call: Call) -> pb.ModelReadyResponse:
        """Whether a model takes requests; one that does not exist does not, as in Triton."""
        try:
            call.line.model = self._dataplane.spec(request.name, request.version or None).name
        except ModelNotFound:
            return pb.ModelReadyResponse(ready=False)
        return pb.ModelReadyResponse(ready=self._dataplane.seen("classifier").ready)

    async def server_metadata(self, _request: pb.ServerMetadataRequest, _: Call) -> pb.ServerMetadataResponse:
        """The server's name, version and extensions."""
        return pb.ServerMetadataResponse(**server_metadata())

    async def model_metadata(self, request: pb.ModelMetadataRequest, call: Call) -> pb.ModelMetadataResponse:
        """What a model takes and gives."""
        spec = self._dataplane.spec(request.name, request.version or None)
        call.line.model, call.line.version = spec.name, spec.version
        metadata = model_metadata(spec, self._dataplane.versions(spec.name))
        del metadata["parameters"]  # the message has no field for them
        return pb.ModelMetadataResponse(**metadata)

    async def model_infer(self, request: pb.ModelInferRequest, call: Call) -> pb.ModelInferResponse:
        """The outputs for the inputs that came."""
        spec = self._dataplane.spec(request.model_name, request.model_version or None)
        call.line.model, call.line.version = spec.name, spec.version
        tensors = tensors_of(request)
        call.line.rows += next((len(array) for array in tensors.values() if array.ndim), 0)
        outputs = await self._dataplane.infer(spec, tensors, outputs_of(request), call.seconds)
        return answer_to(request, spec, outputs)

    async def model_stream_infer(
        self, requests: AsyncIterator[pb.ModelInferRequest], call: Call
    ) -> AsyncIterator[pb.ModelStreamInferResponse]:
        """An answer to each request of a stream, in order; a bad request gets its error and hurts no other."""
        under_way: asyncio.Queue[asyncio.Future[pb.ModelStreamInferResponse] | None] = asyncio.Queue(_STREAM_DEPTH)

        async def take() -> None:
            try:
                async for request in requests:
                    await under_way.put(asyncio.create_task(self._answer(request, call)))
                await under_way.put(None)
            except Exception as error:  # noqa: BLE001 - a request that cannot be read ends the stream
                failed: asyncio.Future[pb.ModelStreamInferResponse] = asyncio.get_running_loop().create_future()
                failed.set_exception(error)
                await under_way.put(failed)

        taking = asyncio.create_task(take())
        try:
            while (task := await under_way.get()) is not None:
                yield await task
        finally:
            taking.cancel()
            while not under_way.empty():
                if left := under_way.get_nowait():
                    left.cancel()

    async def repository_index(self, request: pb.RepositoryIndexRequest, _: Call) -> pb.RepositoryIndexResponse:
        """What the model store holds, or what is served alone."""
        listed = repository_index(await self._dataplane.repository(), only_ready=request.ready)
        return pb.RepositoryIndexResponse(models=[pb.RepositoryIndexResponse.ModelIndex(**model) for model in listed])

    async def repository_model_load(
        self, request: pb.RepositoryModelLoadRequest, call: Call
    ) -> pb.RepositoryModelLoadResponse:
        """Serve the newest version of a model, or the one that the parameters name."""
        version = changed_version(_parameters(request))
        await self._dataplane.load_model(request.model_name, version)
        call.line.model, call.line.version = request.model_name, version
        return pb.RepositoryModelLoadResponse()

    async def repository_model_unload(
        self, request: pb.RepositoryModelUnloadRequest, call: Call
    ) -> pb.RepositoryModelUnloadResponse:
        """Serve a model no more, or the version of it that the parameters name."""
        version = changed_version(_parameters(request))
        await self._dataplane.unload_model(request.model_name, version)
        call.line.model, call.line.version = request.model_name, version
        return pb.RepositoryModelUnloadResponse()

    async def _answer(self, request: pb.ModelInferRequest, call: Call) -> pb.ModelStreamInferResponse:
        try:
            return pb.ModelStreamInferResponse(infer_response=await self.model_infer(request, call))
        except ServingError as error:
            call.line.error = error.kind
            failed = pb.ModelInferResponse(model_name=request.model_name, id=request.id)
            return pb.ModelStreamInferResponse(error_message=error.message, infer_response=failed)


def _parameters(request: Any) -> dict[str, Any]:
    return {
        name: getattr(value, choice)
        for name, value in request.parameters.items()
        if (choice := value.WhichOneof("parameter_choice"))
    }
