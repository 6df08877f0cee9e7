"""Keys, limits and deadlines of gRPC calls."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tritonclient.grpc import service_pb2 as pb
from tritonclient.grpc import service_pb2_grpc

from services.gateway.control.policy import NEEDS, OPEN
from services.gateway.rpc.server import GrpcServer
from services.gateway.tandem_v1 import inference_pb2 as llm_pb
from services.gateway.tandem_v1.inference_pb2_grpc import InferenceServiceStub
from tests.fake_llm import Answer
from tests.keys import control_over, make_key
from tests.stage import Stage

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from services.gateway.control.path import Control

INFER = pb.ModelInferRequest(
    model_name="flowers",
    inputs=[{"name": "features", "datatype": "FP32", "shape": [1, 3]}],
    raw_input_contents=[np.array((60, 2, 3), "<f4").tobytes()],
)
PREDICT = llm_pb.PredictRequest(messages=[llm_pb.Message(role="user", content="Why?")], max_tokens=8)
Code = grpc.StatusCode


@asynccontextmanager
async def calling(control: Control, stage: Stage | None = None) -> AsyncIterator[grpc.aio.Channel]:
    await control.start()
    try:
        async with (stage or Stage(control=control)).channel() as channel:
            yield channel
    finally:
        await control.stop()


def oip(channel: grpc.aio.Channel) -> Any:
    return service_pb2_grpc.GRPCInferenceServiceStub(channel)


def llm(channel: grpc.aio.Channel) -> Any:
    return InferenceServiceStub(channel)  # type: ignore[no-untyped-call]


async def outcome(call: Any) -> tuple[grpc.StatusCode, dict[str, str], str]:
    """Status, trailing metadata and message of a call."""
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return error.code(), dict(error.trailing_metadata() or ()), error.details() or ""
    return await call.code(), dict(await call.trailing_metadata() or ()), ""


async def test_key_comes_as_metadata_of_either_name(tmp_path: Path) -> None:
    control, store = control_over(tmp_path)
    secret = await make_key(store, "somebody")
    async with calling(control) as channel:
        for metadata in ((("authorization", f"Bearer {secret}"),), (("x-api-key", secret),)):
            assert (await outcome(oip(channel).ModelInfer(INFER, metadata=metadata)))[0] is Code.OK
        for wrong in ((), (("x-api-key", "tdm_wrong"),)):
            code, _, message = await outcome(oip(channel).ModelInfer(INFER, metadata=wrong))
            assert code is Code.UNAUTHENTICATED
            assert "API key" in message
            assert (await outcome(llm(channel).Predict(PREDICT, metadata=wrong)))[0] is code
        assert (await oip(channel).ServerLive(pb.ServerLiveRequest())).live
        health = health_pb2_grpc.HealthStub(channel)
        assert (await health.Check(health_pb2.HealthCheckRequest())).status


async def test_scope_and_model_decide(tmp_path: Path) -> None:
    control, store = control_over(tmp_path)
    narrow = (("x-api-key", await make_key(store, "narrow", scopes=("infer",), models=("trees",))),)
    async with calling(control) as channel:
        stub = oip(channel)
        for call in (
            stub.ModelInfer(INFER, metadata=narrow),
            stub.ModelMetadata(pb.ModelMetadataRequest(name="flowers"), metadata=narrow),
            stub.RepositoryModelLoad(pb.RepositoryModelLoadRequest(model_name="trees"), metadata=narrow),
            llm(channel).Predict(PREDICT, metadata=narrow),
        ):
            assert (await outcome(call))[0] is Code.PERMISSION_DENIED
        assert (await outcome(stub.ServerMetadata(pb.ServerMetadataRequest(), metadata=narrow)))[0] is Code.OK


async def test_limits_are_told_as_trailing_metadata(tmp_path: Path) -> None:
    control, store = control_over(tmp_path, caller={"requests_per_minute": 2})
    secret = (("x-api-key", await make_key(store, "busy")),)
    async with calling(control) as channel:
        seen = [await outcome(oip(channel).ModelInfer(INFER, metadata=secret)) for _ in range(3)]
    assert [code for code, _, _ in seen] == [Code.OK, Code.OK, Code.RESOURCE_EXHAUSTED]
    assert seen[0][1]["x-ratelimit-remaining-requests"] == "1"
    assert int(seen[2][1]["retry-after"]) >= 1


async def test_each_request_of_a_stream_counts(tmp_path: Path) -> None:
    control, store = control_over(tmp_path, caller={"requests_per_minute": 3, "concurrent_requests": 1})
    secret = (("x-api-key", await make_key(store, "busy")),)
    async with calling(control) as channel:
        call = oip(channel).ModelStreamInfer(iter([INFER] * 5), metadata=secret)
        answers = [answer async for answer in call]
        assert [bool(answer.error_message) for answer in answers] == [False] * 3 + [True] * 2
        assert "requests a minute" in answers[-1].error_message
        assert (await outcome(oip(channel).ModelInfer(INFER, metadata=secret)))[0] is Code.RESOURCE_EXHAUSTED


async def test_tokens_of_a_call_are_settled(tmp_path: Path) -> None:
    control, store = control_over(tmp_path, caller={"tokens_per_minute": 1000})
    secret = (("x-api-key", await make_key(store, "talker")),)
    stage = Stage(control=control)
    stage.llm.answer = Answer([b'{"choices": [{"message": {"content": "So."}}], "usage": {"total_tokens": 42}}'])
    async with calling(control, stage) as channel:
        stub = llm(channel)
        assert (await outcome(stub.Predict(PREDICT, metadata=secret)))[0] is Code.OK
        huge = llm_pb.PredictRequest(messages=PREDICT.messages, max_tokens=2**31 - 1)
        code, told, _ = await outcome(stub.Predict(huge, metadata=secret))
        assert code is Code.RESOURCE_EXHAUSTED
        assert told["x-ratelimit-remaining-tokens"] == str(1000 - 42)


async def test_deadline_reaches_the_queue_and_frees_everything(tmp_path: Path) -> None:
    control, store = control_over(tmp_path, caller={"concurrent_requests": 1})
    secret = (("x-api-key", await make_key(store, "hasty")),)
    stage = Stage(control=control)
    stage.classifier.gate.clear()
    async with calling(control, stage) as channel:
        late = oip(channel).ModelInfer(INFER, metadata=secret, timeout=0.2)
        assert (await outcome(late))[0] is Code.DEADLINE_EXCEEDED
        await asyncio.sleep(0.1)  # until the server has heard of it as well
        late = oip(channel).ModelInfer(INFER, metadata=(*secret, ("x-request-timeout", "0.2")))
        assert (await outcome(late))[0] is Code.DEADLINE_EXCEEDED
        stage.classifier.gate.set()
        assert (await outcome(oip(channel).ModelInfer(INFER, metadata=secret)))[0] is Code.OK


def test_every_method_has_said_what_it_needs() -> None:
    stage = Stage()
    server = GrpcServer(stage.dataplane, stage.telemetry, stage.settings.gateway)
    methods = {path.decode() for path in server._methods}
    unsaid = {method for method in methods if method not in OPEN and method not in NEEDS}
    assert unsaid == {f"/inference.GRPCInferenceService/RepositoryModel{action}" for action in ("Load", "Unload")}


@pytest.mark.parametrize("method", ["Check", "List", "Watch"])
def test_health_is_open(method: str) -> None:
    assert f"/grpc.health.v1.Health/{method}" in OPEN
