"""Traces and logs of the real bundle: every process' spans in one trace, and nobody's secrets anywhere."""

from __future__ import annotations

import json
import secrets
from typing import TYPE_CHECKING, Any

import grpc
import httpx
import openai
import pytest

from services.gateway.tandem_v1 import inference_pb2 as pb
from tests.e2e.conftest import COLLECTOR_KEY

if TYPE_CHECKING:
    from tests.e2e.server import Server
    from tests.otlp import Collector, Span

FLOWER = {"sepal_length": 5, "sepal_width": 3, "petal_length": 1.4, "petal_width": 0.2}
BODY = {"model": "iris", "rows": [FLOWER]}
MODEL = "tandem-mini"


class Caller:
    """One who samples a trace of its own."""

    def __init__(self) -> None:
        self.trace = secrets.token_hex(16)
        self.span = secrets.token_hex(8)
        self.headers = {"traceparent": f"00-{self.trace}-{self.span}-01"}

    def spans(self, collector: Collector, *names: str) -> dict[str, Span]:
        """Its spans by name, once each of `names` is there."""
        found = collector.wait(lambda spans: {one.name for one in self._own(spans)} >= set(names))
        return {one.name: one for one in self._own(found)}

    def _own(self, spans: list[Span]) -> list[Span]:
        return [one for one in spans if one.trace_id == self.trace]


def logged(server: Server, request_id: str) -> dict[str, Any]:
    """The access line of one request."""

    def find() -> dict[str, Any] | None:
        lines = server.log.read_text(errors="replace").splitlines()
        found = [line for line in lines if line.startswith("{") and request_id in line]
        return json.loads(found[0]) if found else None

    line: dict[str, Any] = server.wait_for(find, 30)
    return line


def test_a_prediction_is_one_trace_over_both_processes(server: Server, collector: Collector) -> None:
    caller = Caller()
    headers = caller.headers | {"x-request-id": caller.span}
    assert httpx.post(f"{server.url}/classify", json=BODY, headers=headers, timeout=60).status_code == 200
    spans = caller.spans(collector, "POST /classify", "queue", "batch", "hop", "/_tandem/predict", "engine")
    chain = ["POST /classify", "batch", "hop", "/_tandem/predict", "engine"]
    assert [spans[name].parent_id for name in chain] == [caller.span, *(spans[name].span_id for name in chain[:-1])]
    services = {name: one.service for name, one in spans.items()}
    assert services["hop"] == "tandem-gateway"
    assert services["engine"] == "tandem-classifier"
    line = logged(server, caller.span)
    assert (line["trace_id"], line["model"], line["rows"]) == (caller.trace, "iris", 1)
    assert line["version"]
    assert 0 <= line.get("queue_seconds", 0) < line["seconds"]  # the event loop's clock has milliseconds


def test_a_streamed_chat_is_one_trace_with_vllms_own_span(server: Server, collector: Collector) -> None:
    caller = Caller()
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none") as client:
        stream = client.chat.completions.create(
            model=MODEL,
            messages=[{"role": "user", "content": "What is Tandem?"}],
            max_tokens=8,
            stream=True,
            extra_headers=caller.headers | {"x-request-id": caller.span},
        )
        assert sum(1 for _ in stream) > 1
    spans = caller.spans(collector, "POST /v1/chat/completions", f"chat {MODEL}", "llm_request")
    chat, engine = spans[f"chat {MODEL}"], spans["llm_request"]
    assert chat.parent_id == spans["POST /v1/chat/completions"].span_id
    assert engine.parent_id == chat.span_id
    assert (chat.service, engine.service) == ("tandem-gateway", "tandem-llm")
    assert chat.events == ["gen_ai.first_token"]
    assert chat.attributes["gen_ai.operation.name"] == "chat"
    assert chat.attributes["gen_ai.request.max_tokens"] == 8
    assert 0 < chat.attributes["gen_ai.usage.output_tokens"] <= 8
    assert engine.attributes["gen_ai.usage.completion_tokens"] == chat.attributes["gen_ai.usage.output_tokens"]
    assert "What is Tandem" not in str(spans)
    line = logged(server, caller.span)
    assert line["tokens_out"] == chat.attributes["gen_ai.usage.output_tokens"]
    assert line["tokens_in"] > 0
    assert 0 < line["first_token_seconds"] <= line["seconds"]


def test_a_call_of_grpc_is_traced_and_logged(server: Server, collector: Collector) -> None:
    caller = Caller()
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
        predict = channel.unary_unary(
            "/tandem.v1.InferenceService/Predict",
            request_serializer=pb.PredictRequest.SerializeToString,
            response_deserializer=pb.PredictResponse.FromString,
        )
        request = pb.PredictRequest(model=MODEL, max_tokens=4)
        request.messages.add(role="user", content="Hello")
        metadata = (*caller.headers.items(), ("x-request-id", caller.span))
        predict(request, metadata=metadata, timeout=60)
    spans = caller.spans(collector, "tandem.v1.InferenceService/Predict", f"chat {MODEL}", "llm_request")
    assert spans["tandem.v1.InferenceService/Predict"].parent_id == caller.span
    line = logged(server, caller.span)
    assert (line["method"], line["status"]) == ("GRPC", 200)
    assert line["tokens_out"] > 0


def test_nothing_is_traced_that_its_caller_does_not_sample(server: Server, collector: Collector) -> None:
    unsampled, sampled = Caller(), Caller()
    chat = {"model": MODEL, "max_tokens": 2, "messages": [{"role": "user", "content": "Hello"}]}
    for headers in ({}, {"traceparent": f"00-{unsampled.trace}-{unsampled.span}-00"}, sampled.headers):
        answer = httpx.post(f"{server.url}/v1/chat/completions", json=chat, headers=headers, timeout=60)
        assert answer.status_code == 200
    sampled.spans(collector, "llm_request", f"chat {MODEL}")
    assert unsampled.trace not in {one.trace_id for one in collector.spans}
    chats = {one.span_id for one in collector.spans if one.name == f"chat {MODEL}"}
    assert {one.parent_id for one in collector.spans if one.name == "llm_request"} <= chats


@pytest.mark.parametrize("place", ["headers", "query", "body", "path"])
def test_secrets_reach_no_log_and_no_trace(server: Server, collector: Collector, place: str) -> None:
    secret = f"tdm_{secrets.token_hex(16)}"
    caller = Caller()
    headers = dict(caller.headers)
    asked: list[tuple[str, str, Any]] = [
        ("POST", "/classify", BODY),
        ("POST", "/explain", {"model": "iris", "row": FLOWER}),
        ("POST", "/v2/models/iris/infer", {"inputs": []}),
        (
            "POST",
            "/v1/chat/completions",
            {"model": MODEL, "max_tokens": 2, "messages": [{"role": "user", "content": "Hi"}]},
        ),
        ("GET", "/readyz", None),
    ]
    if place == "headers":
        headers |= {"authorization": f"Bearer {secret}", "x-api-key": secret, "cookie": f"session={secret}"}
        headers |= {"tracestate": f"{'x' * 300}={secret}", "user-agent": secret}
    elif place == "query":
        asked = [(method, f"{path}?api_key={secret}", body) for method, path, body in asked]
    elif place == "path":
        asked = [("GET", f"/v2/models/{secret}", None), ("GET", f"/{secret}", None), ("POST", f"/v1/{secret}", {})]
    else:
        asked += [
            ("POST", "/classify", {"model": secret, "rows": [{secret: secret}]}),
            ("POST", "/classify", {"model": "iris", "rows": [{"sepal_length": secret}]}),
            ("POST", "/v1/chat/completions", {"model": secret, "messages": [{"role": "user", "content": secret}]}),
            ("POST", "/v1/chat/completions", {"model": MODEL, "messages": secret, "temperature": secret}),
            ("POST", "/v1/completions", {"model": MODEL, "prompt": secret, "max_tokens": 2}),
            ("POST", "/v2/models/iris/infer", {"inputs": [{"name": secret, "shape": [1], "datatype": secret}]}),
        ]
    with httpx.Client(base_url=server.url, headers=headers, timeout=60) as client:
        for method, path, body in asked:
            client.request(method, path, json=body)
        client.get("/livez", headers={"x-request-id": caller.span})
    logged(server, caller.span)
    caller.spans(collector, "GET /livez")
    log = server.log.read_text(errors="replace")
    assert secret not in log
    assert COLLECTOR_KEY not in log
    assert secret not in str([one for one in collector.spans if one.trace_id == caller.trace])
    assert {one["api-key"] for one in collector.headers} == {COLLECTOR_KEY}
