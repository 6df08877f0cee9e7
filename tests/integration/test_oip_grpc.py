"""The Open Inference Protocol over gRPC: models, tensors, streams and refusals."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import grpc
import numpy as np
import pytest
from tritonclient.grpc import service_pb2 as pb
from tritonclient.grpc import service_pb2_grpc

from services.errors import DeadlineExceeded, Overloaded, ServingError, Unavailable
from tests.oip import answer_of, asked, code_of
from tests.stage import Stage, tensor_spec

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

IMAGES = tensor_spec("images", ("image", "FP16", (1, 2)))


async def test_server_and_models_describe_themselves() -> None:
    async with Stage().channel() as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        assert (await stub.ServerLive(pb.ServerLiveRequest())).live
        assert (await stub.ServerReady(pb.ServerReadyRequest())).ready
        assert (await stub.ModelReady(pb.ModelReadyRequest(name="flowers", version="v1"))).ready
        assert not (await stub.ModelReady(pb.ModelReadyRequest(name="oaks"))).ready
        assert (await stub.ServerMetadata(pb.ServerMetadataRequest())).name == "tandem"
        model = await stub.ModelMetadata(pb.ModelMetadataRequest(name="flowers"))
        assert (model.versions, model.inputs[0].shape, model.outputs[0].datatype) == (["v1"], [-1, 3], "BYTES")
        assert await code_of(stub.ModelMetadata(pb.ModelMetadataRequest(name="oaks"))) is grpc.StatusCode.NOT_FOUND
        assert await code_of(stub.ModelStatistics(pb.ModelStatisticsRequest())) is grpc.StatusCode.UNIMPLEMENTED


async def test_infer_raw_and_typed() -> None:
    async with Stage().channel() as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        raw = await stub.ModelInfer(asked(60, 2, 3, id="41"))
        assert (raw.id, raw.model_version, raw.raw_output_contents[0]) == ("41", "v1", b"\x05\0\0\0large")
        np.testing.assert_allclose(np.frombuffer(raw.raw_output_contents[1], np.float32), [0.4, 0.6], atol=1e-6)
        features = {"name": "features", "datatype": "FP64", "shape": [1, 3], "contents": {"fp64_contents": [60, 2, 3]}}
        typed = await stub.ModelInfer(
            pb.ModelInferRequest(model_name="flowers", inputs=[features], outputs=[{"name": "probabilities"}])
        )
        assert not typed.raw_output_contents
        np.testing.assert_allclose(typed.outputs[0].contents.fp32_contents, [0.4, 0.6], atol=1e-6)


@pytest.mark.parametrize(
    ("request_", "code", "words"),
    [
        (asked(60, 2, 3, model_name="oaks"), grpc.StatusCode.NOT_FOUND, "no model 'oaks'"),
        (asked(60, 2, 3, model_version="v9"), grpc.StatusCode.NOT_FOUND, "no version 'v9'"),
        (asked(60, 2), grpc.StatusCode.INVALID_ARGUMENT, r"[1, 2]"),
        (asked(60, 2, float("nan")), grpc.StatusCode.INVALID_ARGUMENT, "features[0, 2] (age): must be a finite number"),
        (asked(60, 20, 3), grpc.StatusCode.INVALID_ARGUMENT, "must be between 0 and 10 cm"),
        (asked(60, 2, 3, outputs=[{"name": "logits"}]), grpc.StatusCode.INVALID_ARGUMENT, "no output 'logits'"),
        (asked(60, 2, 3, inputs=[]), grpc.StatusCode.INVALID_ARGUMENT, "0 inputs and 1 raw_input_contents"),
        (pb.ModelInferRequest(model_name="flowers"), grpc.StatusCode.INVALID_ARGUMENT, "'features' is missing"),
    ],
)
async def test_what_is_wrong_is_said(request_: pb.ModelInferRequest, code: grpc.StatusCode, words: str) -> None:
    async with Stage().channel() as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.ModelInfer(request_, metadata=(("x-request-id", "mine"),))
    assert caught.value.code() is code
    assert words in (caught.value.details() or "")
    assert ("x-request-id", "mine") in [tuple(pair) for pair in caught.value.trailing_metadata() or ()]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Unavailable("Down."), grpc.StatusCode.UNAVAILABLE),
        (Overloaded("Full."), grpc.StatusCode.RESOURCE_EXHAUSTED),
        (DeadlineExceeded("Late."), grpc.StatusCode.DEADLINE_EXCEEDED),
        (RuntimeError("secret"), grpc.StatusCode.INTERNAL),
    ],
)
async def test_errors_follow_the_one_table(error: Exception, code: grpc.StatusCode) -> None:
    stage = Stage()
    stage.classifier.error = error
    async with stage.channel() as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await service_pb2_grpc.GRPCInferenceServiceStub(channel).ModelInfer(asked(60, 2, 3))
    assert caught.value.code() is code
    assert "secret" not in (caught.value.details() or "")
    retry = [pair for pair in caught.value.trailing_metadata() or () if pair[0] == "retry-after"]
    assert bool(retry) == bool(isinstance(error, ServingError) and error.headers())


async def test_what_is_no_message_is_refused() -> None:
    async with Stage().channel() as channel:
        raw: Any = channel
        whole = raw.unary_unary("/inference.GRPCInferenceService/ModelInfer")
        assert await code_of(whole(b"\xff\xff")) is grpc.StatusCode.INVALID_ARGUMENT
        stream = raw.stream_stream("/inference.GRPCInferenceService/ModelStreamInfer")(iter([b"\xff\xff"]))
        assert await code_of(stream.read()) is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_message_over_the_limit_is_refused() -> None:
    async with Stage(max_body_bytes=2000).channel() as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        assert await code_of(stub.ModelInfer(asked(*[1.0] * 600))) is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_a_stream_answers_in_order_and_goes_on_after_a_bad_request() -> None:
    async def requests() -> AsyncIterator[pb.ModelInferRequest]:
        for index in range(50):
            yield asked(index, 1, 1, id=str(index)) if index % 5 else asked(index, 99, 1, id=str(index))

    async with Stage().channel() as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        answers = [answer async for answer in stub.ModelStreamInfer(requests())]
    assert [answer.infer_response.id for answer in answers] == [str(index) for index in range(50)]
    for index, answer in enumerate(answers):
        assert bool(answer.error_message) == (index % 5 == 0)
        assert bool(answer.infer_response.outputs) == (index % 5 != 0)


async def test_fp16_comes_back_raw() -> None:
    request = pb.ModelInferRequest(
        model_name="images",
        inputs=[{"name": "image", "datatype": "FP16", "shape": [1, 2]}],
        raw_input_contents=[np.array([0.5, 2], np.float16).tobytes()],
    )
    async with Stage([IMAGES]).channel() as channel:
        answer = await service_pb2_grpc.GRPCInferenceServiceStub(channel).ModelInfer(request)
    assert np.frombuffer(answer.raw_output_contents[0], np.float16).tolist() == [1.0, 4.0]


@pytest.mark.parametrize("how", [grpc.Compression.Gzip, grpc.Compression.Deflate])
async def test_compressed_requests_are_read(how: grpc.Compression) -> None:
    async with Stage().channel() as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        request = asked(60, 2, 3, parameters={"note": pb.InferParameter(string_param="x" * 5000)})
        assert (await stub.ModelInfer(request, compression=how)).raw_output_contents[0] == b"\x05\0\0\0large"


async def test_large_messages_go_both_ways() -> None:
    values = np.arange(2 * 2**20, dtype=np.float32)
    request = pb.ModelInferRequest(
        model_name="long",
        inputs=[{"name": "x", "datatype": "FP32", "shape": [1, len(values)]}],
        raw_input_contents=[values.tobytes()],
    )
    stage = Stage([tensor_spec("long", ("x", "FP32", (-1, -1)))])
    async with stage.channel() as known:
        options = [("grpc.max_receive_message_length", -1)]
        async with grpc.aio.insecure_channel(f"127.0.0.1:{stage.grpc_port}", options=options) as channel:
            stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
            calls = [answer_of(stub.ModelInfer(request)) for _ in range(3)]
            for answer in await asyncio.gather(*calls):
                np.testing.assert_array_equal(np.frombuffer(answer.raw_output_contents[0], np.float32), values * 2)
        assert (await service_pb2_grpc.GRPCInferenceServiceStub(known).ServerLive(pb.ServerLiveRequest())).live
