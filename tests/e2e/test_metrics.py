"""A real Prometheus scrapes a real server: its values are those of a known load, and every query that ships has an answer."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from prometheus_client.parser import text_string_to_metric_families

from services.gateway.tandem_v1 import inference_pb2 as pb
from services.gateway.tandem_v1.inference_pb2_grpc import InferenceServiceStub
from tests.e2e.prometheus import PROGRAM, Prometheus
from tests.e2e.rows import IRIS
from tests.monitoring import dashboard_queries, own_metrics, queries, rules, unknown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.server import Server

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="Prometheus is not installed (apt: prometheus)")

MESSAGES = [{"role": "user", "content": "What is Tandem?"}]
CHAT = {"model": "tandem-mini", "messages": MESSAGES, "max_tokens": 20, "temperature": 0}
TOKENS = 'sum(gen_ai_client_token_usage_sum{gen_ai_token_type="%s"})'
COUNTED = {
    "predictions": 'sum(tandem_requests_total{route="/classify", status="200"})',
    "bad predictions": 'sum(tandem_request_errors_total{route="/classify", reason="invalid_input"})',
    "times": 'sum(tandem_request_duration_seconds_count{route="/classify"})',
    "rows": 'sum(tandem_batch_rows_sum{model="iris"})',
    "batches": 'sum(tandem_batch_rows_count{model="iris"})',
    "batches of the engine": 'sum(tandem_engine_duration_seconds_count{model="iris", operation="predict"})',
    "attributions": 'sum(tandem_admission_wait_seconds_count{backend="attributions"})',
    "chats": 'sum(tandem_requests_total{route="/v1/chat/completions", status="200"})',
    "gRPC": 'sum(tandem_requests_total{route="/tandem.v1.InferenceService/Predict", status="200"})',
    "generations": 'sum(gen_ai_server_request_duration_seconds_count{error_type=""})',
    "streams": "sum(gen_ai_server_time_to_first_token_seconds_count)",
    "admitted": 'sum(tandem_admission_wait_seconds_count{backend="llm"})',
    "tokens in": TOKENS % "input",
    "tokens out": TOKENS % "output",
    "tokens into vLLM": "sum(vllm:prompt_tokens_total)",
    "tokens out of vLLM": "sum(vllm:generation_tokens_total)",
}


@pytest.fixture(scope="module")
def prometheus(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    running = Prometheus(tmp_path_factory.mktemp("prometheus"), f"127.0.0.1:{server.port}")
    try:
        running.wait_for(lambda: running.value('up{job="tandem"}'))
        yield running
    finally:
        running.stop()


def counted(prometheus: Prometheus) -> dict[str, float]:
    return {name: prometheus.value(expression) for name, expression in COUNTED.items()}


def put_to_work(server: Server) -> tuple[int, int]:
    """The known load; the tokens that it used, in and out, as far as answers say so."""

    def ask(path: str, body: Any) -> dict[str, Any]:
        answer: dict[str, Any] = server.http.post(path, json=body).json()
        return answer

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: ask("/classify", {"model": "iris", "rows": [IRIS, IRIS]}), range(40)))
    for _ in range(3):
        assert ask("/classify", {"model": "iris", "rows": [{"petal_width": "wide"}]})["code"] == "invalid_input"
    assert ask("/explain", {"model": "iris", "row": IRIS})["explanation"]
    usages = [ask("/v1/chat/completions", CHAT)["usage"] for _ in range(2)]
    stream = server.http.post("/v1/chat/completions", json={**CHAT, "stream": True}).text
    assert '"usage"' not in stream
    asked = {**CHAT, "stream": True, "stream_options": {"include_usage": True}}
    told = server.http.post("/v1/chat/completions", json=asked).text.split("\n\n")[-3]
    usages += [json.loads(told.removeprefix("data: "))["usage"]] * 2  # once for each of the two streams
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
        messages = [pb.Message(role="user", content="What is Tandem?")]
        request = pb.PredictRequest(model="tandem-mini", messages=messages, max_tokens=20, temperature=0)
        stub = InferenceServiceStub(channel)  # type: ignore[no-untyped-call]
        usage = stub.Predict(request).usage
    usages.append({"prompt_tokens": usage.prompt_tokens, "completion_tokens": usage.completion_tokens})
    return sum(one["prompt_tokens"] for one in usages), sum(one["completion_tokens"] for one in usages)


def test_what_prometheus_sees_is_the_load_that_was(server: Server, prometheus: Prometheus) -> None:
    before = counted(prometheus)
    tokens_in, tokens_out = put_to_work(server)

    def grown() -> dict[str, float]:
        return {name: value - before[name] for name, value in counted(prometheus).items()}

    prometheus.wait_for(lambda: grown()["gRPC"] == 1 and grown()["tokens out"] == grown()["tokens out of vLLM"])
    found = grown()
    exact = {
        "predictions": 40,
        "bad predictions": 3,
        "times": 43,
        "rows": 80,
        "attributions": 1,
        "chats": 4,
        "gRPC": 1,
        "generations": 6,
        "streams": 2,
        "admitted": 6,
    }
    assert {name: found[name] for name in exact} == exact
    assert 1 <= found["batches"] <= 40
    assert found["batches of the engine"] == found["batches"]
    # The explanation's tokens are the rest: only vLLM tells them.
    assert found["tokens in"] == found["tokens into vLLM"] > tokens_in
    assert found["tokens out"] == found["tokens out of vLLM"] > tokens_out


def test_what_is_true_now_is_told(prometheus: Prometheus) -> None:
    states = prometheus.query("tandem_dependency_state == 1")
    assert {one["metric"]["dependency"]: one["metric"]["state"] for one in states} == {
        "classifier": "ready",
        "llm": "ready",
    }
    frameworks = {one["metric"]["framework"] for one in prometheus.query("tandem_model_info")}
    assert {"scikit-learn", "xgboost", "torch", "vllm"} <= frameworks
    assert prometheus.value("tandem_limiter_up") == 1
    for service in ("Gateway", "Classifier", "LLM"):
        assert prometheus.value(f'sum(tandem_process_cpu_seconds_total{{service="{service}"}})') > 0
        assert prometheus.value(f'sum(tandem_process_resident_memory_bytes{{service="{service}"}})') > 50 * 2**20
        assert prometheus.value(f'sum(tandem_process_open_fds{{service="{service}"}})') > 3
    assert prometheus.value('count(tandem_process_cpu_seconds_total{process="EngineCore"})') == 1


def test_metrics_are_told_by_definition(server: Server) -> None:
    known = own_metrics()
    for family in text_string_to_metric_families(server.http.get("/metrics").text):
        if not family.name.startswith("vllm:"):
            for sample in family.samples:
                assert set(sample.labels) == known[sample.name], sample


def test_every_query_that_ships_has_an_answer(server: Server, prometheus: Prometheus) -> None:
    known = own_metrics() | {
        sample.name: frozenset(sample.labels)
        for family in text_string_to_metric_families(server.http.get("/metrics").text)
        for sample in family.samples
    }
    assert [wrong for query in queries() for wrong in unknown(query, known)] == []
    for query in dashboard_queries():
        prometheus.query(query)
    recorded = [rule["record"] for rule in rules() if "record" in rule]
    prometheus.wait_for(lambda: prometheus.query(recorded[0]))
    health = {rule["name"]: rule["health"] for group in prometheus.get("/rules")["groups"] for rule in group["rules"]}
    assert set(health.values()) == {"ok"}
    assert set(recorded) <= health.keys()
