"""Traces of real requests, as a collector gets them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr
from tritonclient.grpc import service_pb2 as pb

from tests.gateway import Bundle
from tests.integration.tracing.callers import PARENT, SAMPLED, TRACE, UNSAMPLED, bundle_with
from tests.stage import Stage
from tests.wired import CLASSIFY, EXPLAIN, Wired

if TYPE_CHECKING:
    from pathlib import Path

    from services.telemetry.tracing import Tracing
    from tests.otlp import Collector


async def test_one_trace_from_the_caller_to_the_engine(tmp_path: Path, collector: Collector) -> None:
    async with bundle_with(tmp_path, collector, headers={"api-key": SecretStr("shh")}) as client:
        headers = SAMPLED | {"x-request-id": "mine", "authorization": "Bearer secret"}
        assert (await client.post("/classify?secret=1", json=CLASSIFY, headers=headers)).status_code == 200
        spans = await asyncio.to_thread(
            collector.wait_for, "POST /classify", "queue", "batch", "hop", "/_tandem/predict", "engine"
        )
    assert {one.trace_id for one in spans.values()} == {TRACE}
    parents = {one.name: one.parent_id for one in spans.values()}
    request, batch, hop = spans["POST /classify"], spans["batch"], spans["hop"]
    classifier = spans["/_tandem/predict"]
    assert parents == {
        "POST /classify": PARENT,
        "queue": request.span_id,
        "batch": request.span_id,
        "hop": batch.span_id,
        "/_tandem/predict": hop.span_id,
        "engine": classifier.span_id,
    }
    assert (request.service, classifier.service) == ("tandem-gateway", "tandem-classifier")
    assert spans["engine"].service == "tandem-classifier"
    assert request.attributes == {
        "tandem.request.id": "mine",
        "http.request.method": "POST",
        "http.route": "/classify",
        "http.response.status_code": 200,
        "url.scheme": "http",
        "tandem.model.name": "flowers",
        "tandem.model.version": "v1",
        "tandem.rows": 1,
    }
    assert batch.attributes == {"tandem.batch.requests": 1, "tandem.batch.rows": 1}
    assert request.state == "vendor=one,other=two"
    assert request.start <= spans["queue"].start <= spans["queue"].end <= hop.start <= hop.end <= request.end
    assert hop.start <= classifier.start <= spans["engine"].start <= spans["engine"].end <= classifier.end
    assert "secret" not in str(collector.spans)
    assert {one.get("api-key") for one in collector.headers} == {"shh", None}  # the Classifier's was given none


async def test_requests_that_share_a_batch_are_linked(tmp_path: Path, collector: Collector) -> None:
    count = 30
    async with bundle_with(tmp_path, collector) as client:
        await asyncio.gather(*(client.post("/classify", json=CLASSIFY) for _ in range(count)))
        spans = await asyncio.to_thread(
            collector.wait, lambda spans: sum(one.name == "POST /classify" for one in spans) == count
        )
        batches = sum(one.name == "batch" for one in spans)
        spans = await asyncio.to_thread(
            collector.wait, lambda spans: sum(one.name == "engine" for one in spans) == batches
        )
    requests = {one.span_id: one for one in spans if one.name == "POST /classify"}
    assert len({one.trace_id for one in requests.values()}) == count
    seen = []
    for batch in (one for one in spans if one.name == "batch"):
        members = [batch.parent_id, *(span_id for _, span_id in batch.links)]
        assert len(members) == batch.attributes["tandem.batch.requests"]
        seen += members
        for trace_id, span_id in batch.links:
            queue = next(one for one in spans if one.name == "queue" and one.parent_id == span_id)
            assert queue.trace_id == trace_id == requests[span_id].trace_id
            assert queue.links == [(batch.trace_id, batch.span_id)]
    assert sorted(seen) == sorted(requests)
    assert batches < count


@pytest.mark.parametrize(
    ("headers", "settings", "traced"),
    [
        (SAMPLED, {"sample_ratio": 0}, True),
        (SAMPLED, {"sample_ratio": 0, "follow_caller": False}, False),
        (UNSAMPLED, {"sample_ratio": 1}, False),
        (UNSAMPLED, {"sample_ratio": 1, "follow_caller": False}, False),
        ({}, {"sample_ratio": 0}, False),
        ({}, {"sample_ratio": 1}, True),
        ({"traceparent": "nonsense"}, {"sample_ratio": 1}, True),
    ],
)
async def test_sampling_is_respected(
    tmp_path: Path, collector: Collector, headers: dict[str, str], settings: dict[str, Any], traced: bool
) -> None:
    async with bundle_with(tmp_path, collector, **settings) as client:
        assert (await client.post("/classify", json=CLASSIFY, headers=headers)).status_code == 200
        assert (await client.get("/livez", headers=SAMPLED if traced else UNSAMPLED)).status_code == 200
    names = {one.name for one in collector.spans}  # closing sends what is left
    assert names == (
        {"POST /classify", "queue", "batch", "hop", "/_tandem/predict", "engine", "GET /livez"} if traced else set()
    )


async def test_explaining_is_one_trace(tmp_path: Path, collector: Collector) -> None:
    async with bundle_with(tmp_path, collector) as client:
        assert (await client.post("/explain", json=EXPLAIN, headers=SAMPLED)).status_code == 200
        spans = await asyncio.to_thread(collector.wait_for, "POST /explain", "hop", "/_tandem/attribute", "engine")
    assert {one.trace_id for one in spans.values()} == {TRACE}
    assert spans["hop"].parent_id == spans["POST /explain"].span_id


async def test_failures_are_marked(tmp_path: Path, collector: Collector, tracing: Tracing) -> None:
    wired = Wired(tmp_path, tracing)
    async with wired.client() as client:
        assert (await client.post("/classify", json=CLASSIFY)).status_code == 503
        assert (await client.post("/classify", content=b"{")).status_code == 400
    spans = await asyncio.to_thread(collector.wait, lambda spans: len(spans) >= 2)
    lost, wrong = spans
    assert (lost.failed, lost.attributes["error.type"]) == (True, "unavailable")
    assert (wrong.failed, wrong.attributes["error.type"]) == (False, "invalid_input")


async def test_grpc_metadata_is_accepted(collector: Collector, tracing: Tracing) -> None:
    stage = Stage(tracing=tracing)
    request = pb.ModelInferRequest(model_name="flowers")
    tensor = request.inputs.add(name="features", datatype="FP32", shape=[1, 3])
    tensor.contents.fp32_contents.extend([60, 2, 3])
    async with stage.channel() as channel:
        infer = channel.unary_unary(
            "/inference.GRPCInferenceService/ModelInfer",
            request_serializer=pb.ModelInferRequest.SerializeToString,
            response_deserializer=pb.ModelInferResponse.FromString,
        )
        await infer(request, metadata=tuple(SAMPLED.items()))
        spans = await asyncio.to_thread(
            collector.wait_for, "inference.GRPCInferenceService/ModelInfer", "queue", "batch"
        )
    call = spans["inference.GRPCInferenceService/ModelInfer"]
    assert (call.trace_id, call.parent_id) == (TRACE, PARENT)
    assert call.attributes["rpc.system"] == "grpc"
    assert call.attributes["rpc.service"] == "inference.GRPCInferenceService"
    assert call.attributes["rpc.method"] == "ModelInfer"
    assert call.attributes["tandem.rows"] == 1
    assert spans["batch"].parent_id == call.span_id


async def test_the_log_line_has_the_trace(
    collector: Collector, tracing: Tracing, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    bundle = Bundle(tracing=tracing)
    async with bundle.client() as client:
        await client.get("/livez", headers=SAMPLED)
        await client.get("/livez", headers=UNSAMPLED)
        await client.get("/livez")
    bundle.telemetry.close()
    lines = capfdbinary.readouterr().out.splitlines()
    assert [TRACE.encode() in line for line in lines] == [True, True, False]
    assert b'"trace_id"' in lines[2]
