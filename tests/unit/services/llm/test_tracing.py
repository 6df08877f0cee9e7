from __future__ import annotations

from pydantic import SecretStr

from services.llm.tracing import tracing_argv, tracing_environment
from services.settings.telemetry import TracingSettings


def test_nothing_is_asked_of_vllm_where_nothing_is_traced() -> None:
    assert tracing_argv(TracingSettings()) == []
    assert tracing_environment(TracingSettings()) == {}


def test_vllm_traces_what_the_gateway_samples_to_the_same_place() -> None:
    settings = TracingSettings(endpoint="https://collector:4318/", headers={"api-key": SecretStr("a b,c=d")})
    assert tracing_argv(settings) == ["--otlp-traces-endpoint", "https://collector:4318/v1/traces"]
    environment = tracing_environment(settings)
    assert environment["OTEL_TRACES_SAMPLER"] == "parentbased_always_off"
    assert environment["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"] == "http/protobuf"
    assert environment["OTEL_EXPORTER_OTLP_TRACES_HEADERS"] == "api-key=a%20b%2Cc%3Dd"
