"""What `/metrics` says of requests, whatever protocol they came by, and when what it depends on is gone."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client import CollectorRegistry

from services.errors import Unavailable
from services.gateway.streamed import ConnectionLost
from services.gateway.tandem_v1 import inference_pb2 as pb
from services.gateway.tandem_v1.inference_pb2_grpc import InferenceServiceStub
from services.settings.control import AdmissionSettings
from tests.asgi import Client
from tests.fake_llm import LLM_NAME, Answer, chat_events
from tests.gateway import Bundle
from tests.keys import control_over, make_key
from tests.metrics import make_metrics, value
from tests.stage import Stage

if TYPE_CHECKING:
    from pathlib import Path

CHAT = "/v1/chat/completions"
ASKED = {"model": LLM_NAME, "messages": [{"role": "user", "content": "Why?"}], "max_tokens": 5}
ROW = {"height": 60, "width": 2, "age": 3}
USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
EVENT_STREAM = "text/event-stream"
PATIENCE = 10


def whole(**fields: Any) -> Answer:
    return Answer([json.dumps({"choices": [{"message": {"content": "Because."}}], "usage": USAGE, **fields}).encode()])


def stream(*texts: str) -> Answer:
    events = chat_events(*texts)
    told = f"data: {json.dumps({'choices': [], 'usage': USAGE})}\n\n".encode()
    return Answer([*events[:-1], told, events[-1]], content_type=EVENT_STREAM)


class Counted:
    """What a bundle's metrics say of its generations."""

    def __init__(self, bundle: Bundle | Stage) -> None:
        self._telemetry = bundle.telemetry

    def of(self, name: str, operation: str = "chat", model: str = LLM_NAME, **labels: str) -> float:
        return value(
            self._telemetry.metrics,
            self._telemetry.registry,
            name,
            gen_ai_operation_name=operation,
            gen_ai_provider_name="vllm",
            gen_ai_request_model=model,
            **labels,
        )

    def ended(self, error: str, operation: str = "chat") -> float:
        return self.of("gen_ai_server_request_duration_seconds_count", operation, error_type=error)

    def tokens(self, operation: str = "chat") -> tuple[float, float]:
        name = "gen_ai_client_token_usage_sum"
        return (
            self.of(name, operation, gen_ai_token_type="input"),
            self.of(name, operation, gen_ai_token_type="output"),
        )


async def ask(bundle: Bundle, path: str, body: Any) -> Client:
    await bundle.monitor.look()
    client = Client(json.dumps(body).encode())
    await client.ask(bundle.app, "POST", path)
    return client


async def metrics(bundle: Bundle) -> str:
    client = Client()
    await asyncio.wait_for(client.ask(bundle.app, "GET", "/metrics"), PATIENCE)
    assert client.status == 200
    return b"".join(client.pieces).decode()


@pytest.mark.parametrize(
    ("path", "body", "answer", "operation"),
    [
        (CHAT, ASKED, whole(), "chat"),
        (CHAT, {**ASKED, "stream": True}, stream("It", " is."), "chat"),
        (CHAT, {**ASKED, "stream": True, "stream_options": {"include_usage": True}}, stream("It", " is."), "chat"),
        ("/v1/completions", {"model": LLM_NAME, "prompt": "Why?"}, whole(), "text_completion"),
        ("/v1/responses", {"input": "Why?"}, whole(usage={"input_tokens": 3, "output_tokens": 2}), "chat"),
        ("/explain", {"model": "flowers", "row": ROW}, whole(), "chat"),
        ("/explain_stream", {"model": "flowers", "row": ROW}, stream("It", " is."), "chat"),
    ],
)
async def test_tokens_are_counted_whatever_asks_for_them(
    path: str, body: dict[str, Any], answer: Answer, operation: str
) -> None:
    bundle = Bundle()
    bundle.llm.answer = answer
    client = await ask(bundle, path, body)
    assert client.status == 200
    counted = Counted(bundle)
    assert counted.ended("", operation) == 1
    assert counted.tokens(operation) == (3, 2)
    streamed = answer.content_type == EVENT_STREAM
    assert counted.of("gen_ai_server_time_to_first_token_seconds_count", operation) == streamed
    assert counted.of("gen_ai_server_time_per_output_token_seconds_count", operation) == streamed
    assert counted.of("gen_ai_client_operation_time_per_output_chunk_seconds_count", operation) == streamed


async def test_tokens_are_counted_over_grpc() -> None:
    stage = Stage()
    stage.llm.answer = whole()
    async with stage.channel() as channel:
        asked = pb.PredictRequest(messages=[pb.Message(role="user", content="Why?")])
        stub = InferenceServiceStub(channel)  # type: ignore[no-untyped-call]
        await stub.Predict(asked)
    assert Counted(stage).tokens() == (3, 2)


async def test_embeddings_have_only_tokens_that_go_in() -> None:
    bundle = Bundle()
    bundle.llm.answer = Answer([json.dumps({"data": [], "usage": {"prompt_tokens": 3, "total_tokens": 3}}).encode()])
    await ask(bundle, "/v1/embeddings", {"model": LLM_NAME, "input": "Why?"})
    assert Counted(bundle).tokens("embeddings") == (3, 0)


async def test_response_stream_begins_with_its_first_word_and_not_with_its_announcement() -> None:
    bundle = Bundle()
    go_on = asyncio.Event()
    created = b'event: response.created\ndata: {"type":"response.created"}\n\n'
    bundle.llm.answer = Answer([created], content_type=EVENT_STREAM, hold=go_on)
    await bundle.monitor.look()
    client = Client(json.dumps({"input": "Why?", "stream": True}).encode())
    asking = asyncio.create_task(client.ask(bundle.app, "POST", "/v1/responses"))
    await asyncio.wait_for(client.received_body.wait(), PATIENCE)
    bundle.llm.answer.pieces.append(b'event: response.output_text.delta\ndata: {"delta":"It"}\n\n')
    go_on.set()
    await asking
    assert Counted(bundle).of("gen_ai_server_time_to_first_token_seconds_count") == 0
    bundle.llm.answer = Answer([created, bundle.llm.answer.pieces[-1]], content_type=EVENT_STREAM)
    await ask(bundle, "/v1/responses", {"input": "Why?", "stream": True})
    assert Counted(bundle).of("gen_ai_server_time_to_first_token_seconds_count") == 1
    assert Counted(bundle).of("gen_ai_client_operation_time_per_output_chunk_seconds_count") == 0


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (Answer([b'{"error": {"message": "no"}}'], status=400), "400"),
        (Answer([b"{"], error=Unavailable("It broke off.")), "unavailable"),
        (
            Answer(chat_events("It")[:1], content_type=EVENT_STREAM, error=ConnectionLost(answer_begun=True)),
            "unavailable",
        ),
    ],
)
async def test_generation_that_fails_says_why(answer: Answer, error: str) -> None:
    bundle = Bundle()
    bundle.llm.answer = answer
    await ask(bundle, CHAT, {**ASKED, "stream": answer.content_type == EVENT_STREAM})
    assert Counted(bundle).ended(error) == 1
    assert Counted(bundle).tokens() == (0, 0)


async def test_generation_whose_client_leaves_is_cancelled() -> None:
    bundle = Bundle()
    bundle.llm.answer = Answer(chat_events("It")[:1], content_type=EVENT_STREAM, hold=asyncio.Event())
    await bundle.monitor.look()
    client = Client(json.dumps({**ASKED, "stream": True}).encode())
    asking = asyncio.create_task(client.ask(bundle.app, "POST", CHAT))
    await asyncio.wait_for(client.received_body.wait(), PATIENCE)
    client.leave()
    await asking
    assert Counted(bundle).ended("cancelled") == 1
    assert bundle.counted(CHAT, 499) == 1


async def test_queue_for_the_language_model_is_shown_and_its_end_refused() -> None:
    bundle = Bundle(admission=AdmissionSettings(llm_in_flight=1, llm_queue=1))
    bundle.llm.answer = Answer([b"{}"], hold=asyncio.Event())
    await bundle.monitor.look()
    clients = [Client(json.dumps(ASKED).encode()) for _ in range(3)]
    asking = [asyncio.create_task(client.ask(bundle.app, "POST", CHAT)) for client in clients]
    await asyncio.wait_for(asyncio.wait(asking, return_when=asyncio.FIRST_COMPLETED), PATIENCE)
    text = await metrics(bundle)
    assert 'tandem_admission_in_flight_requests{backend="llm"} 1.0' in text
    assert 'tandem_admission_queue_requests{backend="llm"} 1.0' in text
    assert 'tandem_admission_queue_limit_requests{backend="llm"} 1.0' in text
    assert 'tandem_request_errors_total{reason="overloaded",route="/v1/chat/completions"} 1.0' in text
    assert "tandem_requests_in_flight 3.0" in text
    assert bundle.llm.answer.hold is not None
    bundle.llm.answer.hold.set()
    await asyncio.gather(*asking)
    text = await metrics(bundle)
    assert 'tandem_admission_wait_seconds_count{backend="llm"} 2.0' in text
    assert 'tandem_admission_queue_requests{backend="llm"} 0.0' in text


async def test_queue_for_a_model_is_shown() -> None:
    bundle = Bundle()
    bundle.classifier.gate.clear()
    await bundle.monitor.look()
    asking = []
    for _ in range(3):  # two batches leave, the third waits for one to come back
        client = Client(json.dumps({"model": "flowers", "rows": [ROW, ROW]}).encode())
        asking.append(asyncio.create_task(client.ask(bundle.app, "POST", "/classify")))
        bundle.classifier.reached.clear()
        if len(asking) < 3:
            await asyncio.wait_for(bundle.classifier.reached.wait(), PATIENCE)
    await asyncio.sleep(0)
    text = await metrics(bundle)
    assert 'tandem_batches_in_flight{model="flowers"} 2.0' in text
    assert 'tandem_batch_queue_rows{model="flowers"} 2.0' in text
    bundle.classifier.gate.set()
    await asyncio.gather(*asking)
    text = await metrics(bundle)
    assert 'tandem_batch_queue_rows{model="flowers"} 0.0' in text
    assert 'tandem_batch_rows_sum{model="flowers"} 6.0' in text


@pytest.mark.parametrize("how", ["dead", "hung"])
async def test_what_is_gone_holds_nothing_up_and_what_it_counted_stays(how: str) -> None:
    bundle = Bundle()
    bundle.llm.answer = whole()
    await ask(bundle, CHAT, ASKED)
    llm = bundle.dependencies["llm"]
    if how == "dead":
        llm.die()
        await bundle.monitor.look()
    else:
        llm.gate.clear()
    probes = llm.probes
    text = await metrics(bundle)
    assert llm.probes == probes
    assert f'tandem_dependency_state{{dependency="llm",state="down"}} {float(how == "dead")}' in text
    assert 'gen_ai_token_type="input"} 3.0' in text


async def test_limits_are_counted_and_metrics_are_for_admins(tmp_path: Path) -> None:
    registry = CollectorRegistry()
    counts = make_metrics(registry)
    control, store = control_over(tmp_path, counts, caller={"requests_per_minute": 2})
    bundle = Bundle(control=control)
    secret, ops = await make_key(store, "user"), await make_key(store, "ops", scopes=("admin",))
    await control.start()
    try:
        async with bundle.client() as client:
            for status in (200, 200, 429):
                body = {"model": "flowers", "rows": [ROW]}
                answer = await client.post("/classify", json=body, headers={"x-api-key": secret})
                assert answer.status_code == status
            assert (await client.get("/metrics")).status_code == 401
            assert (await client.get("/metrics", headers={"x-api-key": ops})).status_code == 200
    finally:
        await control.stop()
    refused = {"decision": "refused", "scope": "caller", "limit": "requests"}
    assert value(counts, registry, "tandem_limiter_decisions_total", **refused) == 1
    allowed = {"decision": "allowed", "scope": "", "limit": ""}
    assert value(counts, registry, "tandem_limiter_decisions_total", **allowed) == 3
    assert value(counts, registry, "tandem_limiter_up") == 1
