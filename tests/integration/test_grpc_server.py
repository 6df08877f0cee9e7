"""The gRPC server below its protocols: deadlines, cancelled calls, health, its port, and how it stops."""

from __future__ import annotations

import asyncio
import logging
import shutil
import socket
import struct
from typing import TYPE_CHECKING

import grpc
import pytest
import uvloop
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tritonclient.grpc import service_pb2 as pb
from tritonclient.grpc import service_pb2_grpc

from services.gateway.rpc.server import GrpcServer
from services.gateway.rpc.wire.connection import MOST_STREAMS
from tests.oip import answer_of, asked, code_of
from tests.stage import Stage

if TYPE_CHECKING:
    from pathlib import Path

Health = health_pb2.HealthCheckResponse


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
        waiting = [asyncio.ensure_future(answer_of(call)) for call in calls]
        await stage.classifier.reached.wait()
        calls[3].cancel()
        await asyncio.sleep(0.05)
        stage.classifier.gate.set()
        answers = await asyncio.gather(*waiting, return_exceptions=True)
    assert isinstance(answers[3], asyncio.CancelledError)
    assert sum(not isinstance(answer, BaseException) for answer in answers) == 7


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


async def test_more_calls_at_once_than_a_connection_takes_wait_in_the_client() -> None:
    stage = Stage()
    stage.classifier.gate.clear()
    async with stage.channel() as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        waiting = [asyncio.ensure_future(answer_of(stub.ModelInfer(asked(1, 1, 1)))) for _ in range(MOST_STREAMS + 200)]
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
        waiting = asyncio.ensure_future(answer_of(stub.ModelInfer(asked(60, 2, 3))))
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
