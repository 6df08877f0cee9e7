"""Whatever gRPC message is sent: an answer or a refusal, and nobody else disturbed."""

from __future__ import annotations

import asyncio
from functools import cache
from typing import Any

import grpc
from hypothesis import given
from tritonclient.grpc import service_pb2 as pb
from tritonclient.grpc import service_pb2_grpc as stubs

from tests.integration.bad_input.lab import DOUBLER, MAX_BODY
from tests.integration.bad_input.strategies import examples, grpc_requests
from tests.stage import FLOWERS, Stage


def test_grpc_messages() -> None:
    """Alone and between two good ones in a stream."""
    stage = Stage((FLOWERS, DOUBLER), max_body_bytes=MAX_BODY)
    good = pb.ModelInferRequest(model_name="doubler", id="good")
    good.inputs.add(name="x", datatype="FP32", shape=[1, 2]).contents.fp32_contents.extend([1.5, -2])
    refusals = {"INVALID_ARGUMENT", "NOT_FOUND", "UNIMPLEMENTED", "RESOURCE_EXHAUSTED"}

    async def alone(channel: grpc.aio.Channel, data: bytes) -> None:
        call: Any = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
        try:
            pb.ModelInferResponse.FromString(await call(data, timeout=20))
        except grpc.aio.AioRpcError as error:
            assert error.code().name in refusals, error  # noqa: PT017 - or there is none

    async def in_stream(channel: grpc.aio.Channel, data: bytes) -> None:
        stream = stubs.GRPCInferenceServiceStub(channel).ModelStreamInfer(
            iter((good, pb.ModelInferRequest.FromString(data), good)), timeout=20
        )
        answers = [answer async for answer in stream]
        assert len(answers) == 3
        for answer in (answers[0], answers[2]):
            assert list(answer.infer_response.outputs[0].contents.fp32_contents) == [3, -4]

    async def all_of_them() -> None:
        async with stage.channel() as channel, asyncio.timeout(120):
            for data in messages():
                await alone(channel, data)
                try:
                    pb.ModelInferRequest.FromString(data)
                except Exception:  # noqa: BLE001 - ends its stream, which another test shows
                    continue
                await in_stream(channel, data)

    asyncio.run(all_of_them())
    assert stage.telemetry.active == 0


@cache
def messages() -> tuple[bytes, ...]:
    """Messages made beforehand, for hypothesis knows no event loops."""
    made: list[bytes] = []

    @examples(100)
    @given(data=grpc_requests())
    def keep(data: bytes) -> None:
        made.append(data)

    keep()
    return tuple(made)
