"""Traces of real requests, as a collector gets them."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import ExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr
from tritonclient.grpc import service_pb2 as pb

from services.errors import Unavailable
from services.settings.telemetry import TracingSettings
from services.telemetry.access_log import AccessLine
from services.telemetry.tracing import create_tracing
from tests.fakes import LLM_NAME, Answer
from tests.gateway import Bundle
from tests.otlp import Collector, collecting
from tests.stage import Stage
from tests.wired import CLASSIFY, EXPLAIN, Wired, classifier_at, llm_at

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    import httpx

    from services.telemetry.tracing import Tracing

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"
SAMPLED = {"traceparent": f"00-{TRACE}-{PARENT}-01", "tracestate": "vendor=one,other=two"}
UNSAMPLED = {"traceparent": f"00-{TRACE}-{PARENT}-00"}
CHAT = {"model": LLM_NAME, "messages": [{"role": "user", "content": "my secret question"}], "temperature": 0.5}


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as running:
        yield running


@pytest.fixture
def tracing(collector: Collector) -> Iterator[Tracing]:
    made = make(collector)
    yield made
    made.close()


def make(collector: Collector, service: str = "tandem-gateway", **settings: Any) -> Tracing:
    made = create_tracing(TracingSettings(endpoint=collector.url, export_interval=0.05, **settings), service)
    assert made is not None
    return made


@asynccontextmanager
async def bundle_with(folder: Path, collector: Collector, **settings: Any) -> AsyncIterator[httpx.AsyncClient]:
    """A gateway and a Classifier, each with a process' own tracing, over a real socket."""
    with ExitStack() as stack:
        gateway, classifier = make(collector, **settings), make(collector, "tandem-classifier", sample_ratio=0)
        stack.callback(gateway.close)
        stack.callback(classifier.close)
        wired = Wired(folder, gateway, patience=60)
        async with (
            classifier_at(wired.paths["classifier"], classifier),
            llm_at(wired.paths["llm"]),
            wired.client() as client,
        ):
            yield client


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


async def test_a_collector_that_hangs_or_fails_costs_spans_and_no_request(
    collector: Collector, caplog: pytest.LogCaptureFixture
) -> None:
    tracing = make(collector, queue_size=20, timeout=0.2)
    bundle = Bundle(tracing=tracing)
    collector.gate.clear()
    async with bundle.client() as client:
        for _ in range(200):
            assert (await client.get("/livez")).status_code == 200
        assert await asyncio.to_thread(collector.reached.wait, 30)
        collector.status = 500
        collector.gate.set()
        await asyncio.to_thread(collector.wait, lambda _: collector.exports >= 1)
        collector.status = 200
        await client.get("/livez", headers=SAMPLED)
        spans = await asyncio.to_thread(collector.wait, lambda spans: any(one.trace_id == TRACE for one in spans))
        assert len(spans) < 100
        assert (await client.get("/livez")).status_code == 200
    tracing.close()
    said = [record.getMessage() for record in caplog.records if record.name == "tandem.tracing"]
    assert said == [
        "Spans cannot be sent to the collector and are lost; requests go on.",
        "Spans can be sent to the collector again.",
    ]
    assert not [record for record in caplog.records if record.name.startswith("opentelemetry")]


def test_closing_waits_for_a_dead_collector_for_seconds_only(collector: Collector) -> None:
    tracing = make(collector, timeout=60)
    collector.gate.clear()
    line = AccessLine(0.0, "id", "GET", "/livez", 200, 0.0)
    tracing.begin(line, ())
    tracing.end(line)
    began = time.monotonic()
    tracing.close()
    assert time.monotonic() - began < 20


def test_nothing_is_made_where_no_collector_is_named() -> None:
    assert create_tracing(TracingSettings(), "tandem-gateway") is None


def chat_stream(*texts: str) -> Answer:
    """A stream as vLLM sends it, with the usage at its end."""
    head: dict[str, Any] = {"id": "chat-1", "model": LLM_NAME}
    told = [{**head, "choices": [{"delta": {"content": text}, "finish_reason": None}]} for text in texts]
    told.append({**head, "choices": [{"delta": {}, "finish_reason": "length"}]})
    told.append({**head, "choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9}})
    events = [f"data: {json.dumps(one, separators=(',', ':'))}\n\n".encode() for one in told]
    return Answer([*events, b"data: [DONE]\n\n"], content_type="text/event-stream")


@pytest.mark.parametrize("captures", [False, True])
async def test_a_streamed_chat(
    collector: Collector, tracing: Tracing, capfdbinary: pytest.CaptureFixture[bytes], captures: bool
) -> None:
    bundle = Bundle(tracing=tracing, captures=captures)
    bundle.llm.answer = chat_stream("a secret", " answer")
    async with bundle.client() as client:
        asked = CHAT | {"stream": True, "max_tokens": 2}
        answer = await client.post("/v1/chat/completions", json=asked, headers=SAMPLED)
        spans = await asyncio.to_thread(collector.wait_for, "POST /v1/chat/completions", f"chat {LLM_NAME}")
    assert b"usage" not in answer.content  # asked for on the way, and taken out again
    chat = spans[f"chat {LLM_NAME}"]
    assert chat.trace_id == TRACE
    assert chat.parent_id == spans["POST /v1/chat/completions"].span_id
    assert chat.kind == 3  # CLIENT
    assert chat.events == ["gen_ai.first_token"]
    first = chat.attributes.pop("gen_ai.response.time_to_first_chunk")
    assert 0 < first <= (chat.end - chat.start) / 1e9
    contents = {name: chat.attributes.pop(name, None) for name in ("gen_ai.input.messages", "gen_ai.output.messages")}
    assert chat.attributes == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "vllm",
        "gen_ai.request.model": LLM_NAME,
        "gen_ai.request.max_tokens": 2,
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.stream": True,
        "gen_ai.response.id": "chat-1",
        "gen_ai.response.model": LLM_NAME,
        "gen_ai.response.finish_reasons": ["length"],
        "gen_ai.usage.input_tokens": 7,
        "gen_ai.usage.output_tokens": 2,
    }
    if captures:
        (question,) = json.loads(contents["gen_ai.input.messages"])
        assert question == {"role": "user", "parts": [{"type": "text", "content": "my secret question"}]}
        (said,) = json.loads(contents["gen_ai.output.messages"])
        assert said["parts"] == [{"type": "text", "content": "a secret answer"}]
        assert (said["role"], said["finish_reason"]) == ("assistant", "length")
    else:
        assert "secret" not in str(collector.spans)
    (upstream,) = bundle.llm.asked
    assert upstream.headers["traceparent"] == f"00-{TRACE}-{chat.span_id}-01"
    assert upstream.headers["tracestate"] == SAMPLED["tracestate"]
    bundle.telemetry.close()
    (line,) = capfdbinary.readouterr().out.splitlines()
    logged = json.loads(line)
    assert (logged["tokens_in"], logged["tokens_out"], logged["trace_id"]) == (7, 2, TRACE)
    assert logged["first_token_seconds"] == pytest.approx(first, abs=1e-5)
    assert b"secret" not in line


async def test_a_whole_chat_and_one_that_fails(collector: Collector, tracing: Tracing) -> None:
    bundle = Bundle(tracing=tracing)
    whole: dict[str, Any] = {
        "id": "chat-2",
        "model": LLM_NAME,
        "choices": [{"message": {"content": "Hi."}, "finish_reason": "stop"}],
    }
    whole["usage"] = {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}
    async with bundle.client() as client:
        bundle.llm.answer = Answer([json.dumps(whole).encode()])
        await client.post("/v1/chat/completions", json=CHAT, headers=SAMPLED)
        bundle.llm.error = Unavailable("Gone.")
        await client.post("/v1/chat/completions", json=CHAT, headers=SAMPLED)
        spans = await asyncio.to_thread(
            collector.wait, lambda spans: sum(one.name == f"chat {LLM_NAME}" for one in spans) == 2
        )
    good, bad = (one for one in spans if one.name == f"chat {LLM_NAME}")
    assert good.attributes["gen_ai.usage.output_tokens"] == 1
    assert good.attributes["gen_ai.response.finish_reasons"] == ["stop"]
    assert good.events == []
    assert not good.failed
    assert bad.failed
    assert bad.attributes["error.type"] == "unavailable"


async def test_an_explanation_has_the_chat_in_its_trace(tmp_path: Path, collector: Collector) -> None:
    async with bundle_with(tmp_path, collector) as client:
        await client.post("/explain", json=EXPLAIN, headers=SAMPLED)
        spans = await asyncio.to_thread(collector.wait_for, "POST /explain", "engine", f"chat {LLM_NAME}")
    assert {one.trace_id for one in spans.values()} == {TRACE}
    assert spans[f"chat {LLM_NAME}"].parent_id == spans["POST /explain"].span_id
