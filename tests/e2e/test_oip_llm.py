"""`tandem.v1.InferenceService`, with the stubs that protoc writes."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import grpc
import pytest

from services.gateway.tandem_v1 import inference_pb2 as pb
from services.gateway.tandem_v1.inference_pb2_grpc import InferenceServiceStub

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.server import Server

MESSAGES = [pb.Message(role="user", content="What is Tandem?")]
RUNNING = "vllm:num_requests_running"


@pytest.fixture(scope="module")
def stub(server: Server) -> Iterator[InferenceServiceStub]:
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
        yield InferenceServiceStub(channel)


def test_the_same_text_whole_streamed_and_over_openai(stub: InferenceServiceStub, server: Server) -> None:
    request = pb.PredictRequest(model="tandem-mini", messages=MESSAGES, temperature=0, max_tokens=60)
    whole = stub.Predict(request)
    assert whole.text
    assert whole.usage.total_tokens == whole.usage.prompt_tokens + whole.usage.completion_tokens
    pieces = list(stub.StreamPredict(request))
    assert "".join(piece.text for piece in pieces) == whole.text
    assert len(pieces) > 5
    assert pieces[-1].usage == whole.usage
    assert pieces[-1].finish_reason == whole.finish_reason
    body = {
        "model": "tandem-mini",
        "messages": [{"role": "user", "content": "What is Tandem?"}],
        "temperature": 0,
        "max_tokens": 60,
    }
    answer = server.http.post("/v1/chat/completions", json=body).json()
    assert answer["choices"][0]["message"]["content"] == whole.text


@pytest.mark.parametrize(
    ("request_", "code", "words"),
    [
        (pb.PredictRequest(model="gpt-none", messages=MESSAGES), grpc.StatusCode.NOT_FOUND, "does not exist"),
        (pb.PredictRequest(messages=MESSAGES, temperature=-1), grpc.StatusCode.INVALID_ARGUMENT, "temperature"),
        (pb.PredictRequest(messages=MESSAGES, max_tokens=-1), grpc.StatusCode.INVALID_ARGUMENT, "max_tokens"),
        (pb.PredictRequest(), grpc.StatusCode.INVALID_ARGUMENT, "messages"),
        (
            pb.PredictRequest(messages=[pb.Message(role="user", content="word " * 20_000)]),
            grpc.StatusCode.INVALID_ARGUMENT,
            "context length",
        ),
    ],
)
def test_errors_are_those_of_the_openai_routes(
    stub: InferenceServiceStub, request_: pb.PredictRequest, code: grpc.StatusCode, words: str
) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        stub.Predict(request_)
    assert caught.value.code() is code
    assert words in (caught.value.details() or "")
    with pytest.raises(grpc.RpcError) as caught:
        list(stub.StreamPredict(request_))
    assert caught.value.code() is code


def test_a_cancelled_stream_stops_its_generation(stub: InferenceServiceStub, server: Server) -> None:
    # Hot enough to ramble on, instead of ending before anybody can cancel.
    request = pb.PredictRequest(messages=MESSAGES, temperature=2, max_tokens=400)
    for _ in range(20):
        call = stub.StreamPredict(request)
        next(call)
        running = server.metric(RUNNING)
        call.cancel()
        if running:
            break
    else:
        pytest.fail("no generation was seen running")
    cancelled = time.monotonic()
    server.wait_for(lambda: server.metric(RUNNING) == 0, 10)
    assert time.monotonic() - cancelled < 5


def test_a_deadline_ends_the_generation(stub: InferenceServiceStub, server: Server) -> None:
    request = pb.PredictRequest(messages=MESSAGES, temperature=2, max_tokens=400)
    with pytest.raises(grpc.RpcError) as caught:
        stub.Predict(request, timeout=0.02)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    server.wait_for(lambda: server.metric(RUNNING) == 0, 10)
