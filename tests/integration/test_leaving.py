"""A gateway process that was asked to stop, as its clients see it, step by step."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tritonclient.grpc import service_pb2 as pb
from tritonclient.grpc import service_pb2_grpc

from services.gateway.control.path import Control
from services.gateway.leaving import Leaving
from services.gateway.rpc.server import GrpcServer
from services.gateway.tandem_v1 import inference_pb2
from services.gateway.tandem_v1.inference_pb2_grpc import InferenceServiceStub
from tests.asgi import Client
from tests.fake_llm import LLM_NAME, Answer, chat_events
from tests.http_server import serving
from tests.stage import Stage
from tests.wired import LLM_READY, Wired, classifier_at

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    import httpx

    from tests.http_server import Request

Health = health_pb2.HealthCheckResponse
ROW = {"height": 60, "width": 2, "age": 3}
INPUTS = [{"name": "features", "datatype": "FP32", "shape": [1, 3], "data": [60, 2, 3]}]
BODIES: dict[str, dict[str, Any]] = {
    "/classify": {"model": "flowers", "rows": [ROW]},
    "/v1/chat/completions": {"model": LLM_NAME, "messages": [{"role": "user", "content": "Why?"}]},
    "/v2/models/flowers/infer": {"inputs": INPUTS},
}
READY = ("/readyz", "/v2/health/ready")
PREDICT = inference_pb2.PredictRequest(messages=[inference_pb2.Message(role="user", content="Why?")])
CHAT = json.dumps({"model": LLM_NAME, "messages": [], "stream": True}).encode()


@asynccontextmanager
async def on_stage() -> AsyncIterator[tuple[Stage, Leaving, httpx.AsyncClient, grpc.aio.Channel]]:
    control = Control(None, None, 1.0)
    stage = Stage(control=control)
    async with asyncio.timeout(60), stage.client() as http, stage.channel() as channel:
        yield stage, Leaving(stage.dataplane, control, stage.rpc, (), stage.telemetry, 60.0), http, channel


async def test_first_readiness_says_no_and_everything_is_still_answered() -> None:
    async with on_stage() as (stage, leaving, http, channel):
        health, oip = health_pb2_grpc.HealthStub(channel), service_pb2_grpc.GRPCInferenceServiceStub(channel)
        watch = health.Watch(health_pb2.HealthCheckRequest())
        assert (await watch.read()).status == Health.SERVING
        assert [(await http.get(path)).status_code for path in READY] == [200, 200]
        leaving.announce()
        stage.dependencies["llm"].gate.clear()  # a look that does not end must hold nothing up
        for path in READY:
            answer = await http.get(path)
            assert answer.status_code == 503
            assert int(answer.headers["retry-after"]) >= 1
            assert "stopping" in answer.text
        assert (await http.get("/livez")).status_code == 200
        assert (await watch.read()).status == Health.NOT_SERVING
        assert (await health.Check(health_pb2.HealthCheckRequest())).status == Health.NOT_SERVING
        assert not (await oip.ServerReady(pb.ServerReadyRequest())).ready
        for path, body in BODIES.items():
            answer = await http.post(path, json=body)
            assert (answer.status_code, answer.headers["connection"]) == (200, "close")
        features = {"name": "features", "datatype": "FP32", "shape": [1, 3], "contents": {"fp32_contents": [1, 2, 3]}}
        await oip.ModelInfer(pb.ModelInferRequest(model_name="flowers", inputs=[features]))


async def test_then_new_work_is_refused_and_what_was_accepted_is_finished() -> None:
    async with on_stage() as (stage, leaving, http, channel):
        hold = asyncio.Event()
        events = chat_events("Because", " it is tall.")
        stage.llm.answer = Answer(events, content_type="text/event-stream", hold=hold)
        streamed = Client(CHAT)
        streaming = asyncio.create_task(streamed.ask(stage.app, "POST", "/v1/chat/completions"))
        called = InferenceServiceStub(channel).StreamPredict(PREDICT)
        assert (await called.read()).text == "Because"
        stage.classifier.gate.clear()
        predicting = asyncio.create_task(http.post("/classify", json=BODIES["/classify"]))
        await asyncio.gather(streamed.received_body.wait(), stage.classifier.reached.wait())
        leaving.announce()
        leaving.refuse()
        for path, body in BODIES.items():
            answer = await http.post(path, json=body)
            assert (answer.status_code, answer.headers["connection"]) == (503, "close")
            assert int(answer.headers["retry-after"]) >= 1
            error = answer.json()["error"]
            assert "stopping" in (error["message"] if isinstance(error, dict) else error)
        assert (await http.get("/livez")).status_code == 200
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await service_pb2_grpc.GRPCInferenceServiceStub(channel).ServerLive(pb.ServerLiveRequest())
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        assert leaving.active() == 3
        stage.classifier.gate.set()
        hold.set()
        assert (await predicting).status_code == 200
        await streaming
        assert (streamed.status, streamed.complete) == (200, True)
        assert (await called.read()).text == " it is tall."
        assert await called.read() is grpc.aio.EOF
        assert await called.code() is grpc.StatusCode.OK
        assert leaving.active() == 0


async def test_last_of_all_what_takes_too_long_is_given_up(tmp_path: Path) -> None:
    silence = asyncio.Event()

    async def one_word(request: Request) -> None:
        await request.begin("content-type: text/event-stream\r\n")
        await request.chunk(chat_events("Because")[0])

    async def never(request: Request) -> None:
        silence.set()
        await asyncio.Event().wait()

    wired = Wired(tmp_path)
    bundle = wired.bundle
    async with (
        asyncio.timeout(60),
        classifier_at(wired.paths["classifier"]),
        serving(one_word, wired.paths["llm"]) as llm,
        wired.client() as http,
    ):
        llm.on_probe = lambda request: request.answer(LLM_READY)
        await bundle.monitor.look()
        control = Control(None, None, 1.0)
        rpc = GrpcServer(bundle.dataplane, bundle.telemetry, bundle.settings.gateway, control)
        leaving = Leaving(bundle.dataplane, control, rpc, wired.upstreams.values(), bundle.telemetry, 1.0)
        streamed, silent = Client(CHAT), Client(CHAT)
        tasks = [asyncio.create_task(streamed.ask(bundle.app, "POST", "/v1/chat/completions"))]
        await streamed.received_body.wait()
        llm.on_request = never
        tasks.append(asyncio.create_task(silent.ask(bundle.app, "POST", "/v1/chat/completions")))
        await silence.wait()
        leaving.abandon()
        await asyncio.gather(*tasks)
        assert b'"error"' in streamed.pieces[-1]
        assert streamed.complete
        assert silent.status == 503
        late = await http.post("/v1/chat/completions", content=CHAT)
        assert late.status_code == 503
