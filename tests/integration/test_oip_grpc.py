from __future__ import annotations

import asyncio
import logging
import shutil
import socket
import struct
from typing import TYPE_CHECKING, Any

import grpc
import numpy as np
import pytest
import uvloop
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tritonclient.grpc import service_pb2 as pb
from tritonclient.grpc import service_pb2_grpc

from services.errors import DeadlineExceeded, Overloaded, ServingError, Unavailable
from services.gateway.rpc.server import GrpcServer
from services.gateway.rpc.wire.connection import MOST_STREAMS
from tests.stage import Stage, tensor_spec

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

IMAGES = tensor_spec("images", ("image", "FP16", (1, 2)))
Health = health_pb2.HealthCheckResponse


def asked(*row: float, **fields: Any) -> pb.ModelInferRequest:
    features = {"name": "features", "datatype": "FP32", "shape": [1, len(row)]}
    raw = np.array(row, "<f4").tobytes()
    return pb.ModelInferRequest(
        **{"model_name": "flowers", "inputs": [features], "raw_input_contents": [raw], **fields}
    )


async def code_of(call: Any) -> grpc.StatusCode:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    code: grpc.StatusCode = caught.value.code()
    return code


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


async def test_a_deadline_is_kept_and_reaches_the_batch() -> None:
    stage = Stage()
    stage.classifier.gate.clear()
    async with stage.channel() as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        assert await code_of(stub.ModelInfer(asked(60, 2, 3), timeout=0.2)) is grpc.StatusCode.DEADLINE_EXCEEDED
        waiting = asyncio.ensure_future(stub.ModelInfer(asked(10, 1, 0)))
        await asyncio.sleep(0.1)
        stage.classifier.gate.set()
        assert (await waiting).raw_output_contents


async def test_a_cancelled_call_leaves_its_batch_unhurt() -> None:
    stage = Stage()
    stage.classifier.gate.clear()
    async with stage.channel() as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        calls = [stub.ModelInfer(asked(index, 1, 1)) for index in range(8)]
        waiting = [asyncio.ensure_future(_answer(call)) for call in calls]
        await stage.classifier.reached.wait()
        calls[3].cancel()
        await asyncio.sleep(0.05)
        stage.classifier.gate.set()
        answers = await asyncio.gather(*waiting, return_exceptions=True)
    assert isinstance(answers[3], asyncio.CancelledError)
    assert sum(not isinstance(answer, BaseException) for answer in answers) == 7


async def _answer(call: Any) -> Any:
    return await call


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


async def test_a_stream_that_is_left_stops() -> None:
    stage = Stage()
    stage.classifier.gate.clear()
    async with stage.channel() as channel:
        call = service_pb2_grpc.GRPCInferenceServiceStub(channel).ModelStreamInfer()
        for _ in range(40):
            await call.write(asked(60, 2, 3))
        await stage.classifier.reached.wait()
        assert stage.telemetry.active == 1
        call.cancel()
        while stage.telemetry.active:  # noqa: ASYNC110 - a counter has no event
            await asyncio.sleep(0.01)
        stage.classifier.gate.set()


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
            calls = [_answer(stub.ModelInfer(request)) for _ in range(3)]
            for answer in await asyncio.gather(*calls):
                np.testing.assert_array_equal(np.frombuffer(answer.raw_output_contents[0], np.float32), values * 2)
        assert (await service_pb2_grpc.GRPCInferenceServiceStub(known).ServerLive(pb.ServerLiveRequest())).live


async def test_more_calls_at_once_than_a_connection_takes_wait_in_the_client() -> None:
    stage = Stage()
    stage.classifier.gate.clear()
    async with stage.channel() as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        waiting = [asyncio.ensure_future(_answer(stub.ModelInfer(asked(1, 1, 1)))) for _ in range(MOST_STREAMS + 200)]
        await stage.classifier.reached.wait()
        stage.classifier.gate.set()
        assert all(answer.raw_output_contents for answer in await asyncio.gather(*waiting))


async def test_a_call_under_way_is_finished_when_the_server_stops() -> None:
    stage = Stage()
    stage.classifier.gate.clear()
    await stage.monitor.look()
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    server = GrpcServer(stage.dataplane, stage.telemetry, stage.settings.gateway.model_copy(update={"grpc_port": port}))
    assert await server.start("127.0.0.1") == port
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        waiting = asyncio.ensure_future(_answer(stub.ModelInfer(asked(60, 2, 3))))
        await stage.classifier.reached.wait()
        stopping = asyncio.create_task(server.stop(10))
        assert await code_of(stub.ServerLive(pb.ServerLiveRequest())) is grpc.StatusCode.UNAVAILABLE
        stage.classifier.gate.set()
        assert (await waiting).raw_output_contents
        await stopping
    await stage.dataplane.close()


@pytest.mark.skipif(shutil.which("h2load") is None, reason="h2load is not installed")
async def test_another_implementation_of_http2_is_answered_too(tmp_path: Path) -> None:
    message = asked(60, 2, 3).SerializeToString()
    body = tmp_path / "body"
    body.write_bytes(struct.pack(">BI", 0, len(message)) + message)
    stage = Stage()
    async with stage.channel():
        url = f"http://127.0.0.1:{stage.grpc_port}/inference.GRPCInferenceService/ModelInfer"
        options = ["-c4", "-m8", "-n400", "-d", str(body), "-H", "content-type: application/grpc", url]
        load = await asyncio.create_subprocess_exec("h2load", *options, stdout=asyncio.subprocess.PIPE)
        said = (await load.communicate())[0].decode()
    assert "400 done, 400 succeeded, 0 failed" in said
    assert sum(len(rows) for batch in stage.classifier.batches for rows in batch) == 400


async def test_health_is_that_of_what_each_service_needs() -> None:
    stage = Stage()
    async with stage.channel() as channel:
        stub = health_pb2_grpc.HealthStub(channel)

        async def check(service: str) -> int:
            status: int = (await stub.Check(health_pb2.HealthCheckRequest(service=service))).status
            return status

        names = ("", "inference.GRPCInferenceService", "tandem.v1.InferenceService")
        assert [await check(name) for name in names] == [Health.SERVING] * 3
        assert await code_of(check("nope")) is grpc.StatusCode.NOT_FOUND
        watch = stub.Watch(health_pb2.HealthCheckRequest(service="tandem.v1.InferenceService"))
        assert (await watch.read()).status == Health.SERVING
        await stage.lose("llm")
        assert (await watch.read()).status == Health.NOT_SERVING
        assert [await check(name) for name in names] == [Health.NOT_SERVING, Health.SERVING, Health.NOT_SERVING]
        unknown = stub.Watch(health_pb2.HealthCheckRequest(service="nope"))
        assert (await unknown.read()).status == Health.SERVICE_UNKNOWN
        listed = await stub.List(health_pb2.HealthListRequest())
        assert listed.statuses["inference.GRPCInferenceService"].status == Health.SERVING


async def test_a_taken_port_leaves_http_alone(caplog: pytest.LogCaptureFixture) -> None:
    stage = Stage()
    async with stage.channel():
        settings = stage.settings.gateway.model_copy(update={"grpc_port": stage.grpc_port})
        second = GrpcServer(stage.dataplane, stage.telemetry, settings)
        with caplog.at_level(logging.ERROR):
            assert await second.start("127.0.0.1") == 0
        await second.stop()
    assert "TANDEM_GATEWAY__GRPC_PORT" in caplog.text


async def test_gRPC_can_be_off() -> None:  # noqa: N802
    stage = Stage()
    server = GrpcServer(stage.dataplane, stage.telemetry, stage.settings.gateway.model_copy(update={"grpc_port": 0}))
    assert await server.start("127.0.0.1") == 0
    await server.stop()


def test_it_runs_on_uvloops_loop() -> None:
    async def scenario() -> str:
        async with Stage().channel() as channel:
            await service_pb2_grpc.GRPCInferenceServiceStub(channel).ModelInfer(asked(60, 2, 3))
        return type(asyncio.get_running_loop()).__module__

    assert uvloop.run(scenario()) == "uvloop"
