from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from prometheus_client import CollectorRegistry

from services.telemetry import generation
from services.telemetry.access_log import AccessLine
from services.telemetry.metrics import Metrics
from tests.metrics import value

if TYPE_CHECKING:
    from services.telemetry.generation import Generation

LABELS = {"gen_ai_operation_name": "chat", "gen_ai_provider_name": "vllm", "gen_ai_request_model": "m"}


class Clock:
    """Stands where the module looks for the time."""

    def __init__(self) -> None:
        self.now = 100.0

    def perf_counter(self) -> float:
        return self.now


class Stage:
    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.registry = CollectorRegistry()
        self.metrics = Metrics(self.registry)
        self.line = AccessLine(0.0, "id", "POST", "/v1/chat/completions", 200, 0.0)

    def begin(self) -> Generation:
        return self.metrics.generation("chat", "m", self.line)

    def value(self, name: str, **labels: str) -> float:
        return value(self.metrics, self.registry, name, **LABELS, **labels)


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    clock = Clock()
    monkeypatch.setattr(generation, "time", clock)
    return Stage(clock)


def stream(stage: Stage, *seconds: float) -> Generation:
    """A stream with a piece after each of `seconds`."""
    one = stage.begin()
    for wait in seconds:
        stage.clock.now += wait
        one.piece()
    return one


def test_stream_that_came_to_its_end(stage: Stage) -> None:
    one = stream(stage, 0.5, 0.25, 0.25)
    one.used(7, 5)
    one.complete = True
    stage.clock.now += 1
    one.end()
    assert stage.value("gen_ai_server_time_to_first_token_seconds_sum") == 0.5
    assert stage.value("gen_ai_server_time_per_output_token_seconds_sum") == 0.125  # 0.5 s for four after the first
    assert stage.value("gen_ai_client_operation_time_per_output_chunk_seconds_count") == 2
    assert stage.value("gen_ai_client_operation_time_per_output_chunk_seconds_sum") == 0.5
    assert stage.value("gen_ai_server_request_duration_seconds_sum", error_type="") == 2
    assert stage.value("gen_ai_client_token_usage_sum", gen_ai_token_type="input") == 7
    assert stage.value("gen_ai_client_token_usage_sum", gen_ai_token_type="output") == 5
    assert stage.value("tandem_output_tokens_per_second_sum") == 2.5
    assert (stage.line.tokens_in, stage.line.tokens_out, stage.line.first_token_seconds) == (7, 5, 0.5)


def test_whole_answer_has_no_first_token(stage: Stage) -> None:
    one = stage.begin()
    stage.clock.now += 2
    one.used(7, 4)
    one.complete = True
    one.end()
    assert stage.value("gen_ai_server_request_duration_seconds_sum", error_type="") == 2
    assert stage.value("tandem_output_tokens_per_second_sum") == 2
    assert stage.value("gen_ai_server_time_to_first_token_seconds_count") == 0
    assert stage.line.first_token_seconds == 0


def test_embedding_has_no_output(stage: Stage) -> None:
    one = stage.begin()
    one.used(7, 0)
    one.complete = True
    one.end()
    assert stage.value("gen_ai_client_token_usage_count", gen_ai_token_type="input") == 1
    assert stage.value("gen_ai_client_token_usage_count", gen_ai_token_type="output") == 0


@pytest.mark.parametrize(("error", "shown"), [("unavailable", "unavailable"), ("", "cancelled")])
def test_answer_that_was_cut_says_why_and_counts_no_times(stage: Stage, error: str, shown: str) -> None:
    one = stream(stage, 0.5)
    one.error = error
    one.end()
    assert stage.value("gen_ai_server_request_duration_seconds_count", error_type=shown) == 1
    assert stage.value("gen_ai_server_time_to_first_token_seconds_count") == 0
    assert stage.value("gen_ai_client_token_usage_count", gen_ai_token_type="input") == 0


def test_single_token_has_no_time_after_the_first(stage: Stage) -> None:
    one = stream(stage, 0.5)
    one.used(7, 1)
    one.complete = True
    one.end()
    assert stage.value("gen_ai_server_time_to_first_token_seconds_count") == 1
    assert stage.value("gen_ai_server_time_per_output_token_seconds_count") == 0
