from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from services.gateway.tandem_v1 import inference_pb2 as pb
from services.gateway.tandem_v1.inference_pb2_grpc import InferenceServiceStub
from tests.fake_llm import LLM_NAME, Answer
from tests.stage import Stage

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
ASKED = pb.PredictRequest(messages=[pb.Message(role="user", content="Why?")], temperature=0.7, max_tokens=8)


def whole(**fields: Any) -> Answer:
    choice = {"index": 0, "message": {"role": "assistant", "content": "Because."}, "finish_reason": "stop"}
    return Answer([json.dumps({"model": LLM_NAME, "choices": [choice], "usage": USAGE, **fields}).encode()])


def events(*texts: str) -> Answer:
    deltas = [{"role": "assistant", "content": ""}, *({"content": text} for text in texts)]
    chunks: list[dict[str, Any]] = [{"model": LLM_NAME, "choices": [{"delta": delta}]} for delta in deltas]
    chunks.append({"model": LLM_NAME, "choices": [{"delta": {}, "finish_reason": "length"}]})
    chunks.append({"model": LLM_NAME, "choices": [], "usage": USAGE})
    lines = [b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks]
    return Answer([*lines, b"data: [DONE]\n\n"], content_type="text/event-stream")


async def test_predict() -> None:
    stage = Stage()
    stage.llm.answer = whole()
    async with stage.channel() as channel:
        answer = await InferenceServiceStub(channel).Predict(ASKED)
    assert (answer.text, answer.finish_reason, answer.model) == ("Because.", "stop", LLM_NAME)
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens) == (3, 2, 5)
    [asked] = stage.llm.asked
    assert asked.path == "/v1/chat/completions"
    assert json.loads(asked.body) == {
        "model": LLM_NAME,
        "messages": [{"role": "user", "content": "Why?"}],
        "temperature": 0.7,
        "max_tokens": 8,
    }


async def test_unset_fields_are_left_to_the_model() -> None:
    stage = Stage()
    stage.llm.answer = whole()
    async with stage.channel() as channel:
        await InferenceServiceStub(channel).Predict(pb.PredictRequest(model=LLM_NAME, messages=ASKED.messages))
    assert json.loads(stage.llm.asked[0].body).keys() == {"model", "messages"}


async def test_stream_predict() -> None:
    stage = Stage()
    stage.llm.answer = events("Be", "cause", ".")
    async with stage.channel() as channel:
        answers = [answer async for answer in InferenceServiceStub(channel).StreamPredict(ASKED)]
    assert [answer.text for answer in answers] == ["Be", "cause", ".", ""]
    assert [answer.HasField("usage") for answer in answers] == [False, False, False, True]
    assert (answers[-1].finish_reason, answers[-1].usage.total_tokens) == ("length", 5)
    assert json.loads(stage.llm.asked[0].body)["stream_options"] == {"include_usage": True}


async def test_a_cancelled_stream_leaves_the_generation() -> None:
    stage = Stage()
    stage.llm.answer = events(*["word "] * 10_000)
    async with stage.channel() as channel:
        call = InferenceServiceStub(channel).StreamPredict(ASKED)
        assert (await call.read()).text
        assert stage.llm.open == 1
        call.cancel()
        await asyncio.wait_for(stage.llm.left.wait(), 5)


@pytest.mark.parametrize(
    ("request_", "code", "words"),
    [
        (pb.PredictRequest(model="oaks", messages=ASKED.messages), grpc.StatusCode.NOT_FOUND, "'oaks' does not exist"),
        (pb.PredictRequest(), grpc.StatusCode.INVALID_ARGUMENT, "messages: at least one"),
        (
            pb.PredictRequest(messages=ASKED.messages, temperature=float("nan")),
            grpc.StatusCode.INVALID_ARGUMENT,
            "temperature: must be a finite number",
        ),
    ],
)
async def test_bad_requests_reach_no_model(request_: pb.PredictRequest, code: grpc.StatusCode, words: str) -> None:
    stage = Stage()
    async with stage.channel() as channel:
        stub = InferenceServiceStub(channel)
        for call in (stub.Predict(request_), _drained(stub.StreamPredict(request_))):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call
            assert caught.value.code() is code
            assert words in (caught.value.details() or "")
    assert not stage.llm.asked


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (Answer([b'{"error": {"message": "too long", "param": "messages"}}'], 400), grpc.StatusCode.INVALID_ARGUMENT),
        (Answer([b'{"detail": "no"}'], 422), grpc.StatusCode.INVALID_ARGUMENT),
        (Answer([b'{"error": {"message": "no adapter"}}'], 404), grpc.StatusCode.NOT_FOUND),
        (Answer([b"secret"], 500), grpc.StatusCode.INTERNAL),
        (Answer([b"{}"], 503), grpc.StatusCode.UNAVAILABLE),
        (Answer([b"data: {not json\n\n"]), grpc.StatusCode.UNAVAILABLE),
        (Answer([b'data: {"error": {"message": "secret"}}\n\n']), grpc.StatusCode.UNAVAILABLE),
        (Answer([], error=ConnectionResetError()), grpc.StatusCode.UNAVAILABLE),
    ],
)
async def test_the_models_errors_follow_the_one_table(answer: Answer, code: grpc.StatusCode) -> None:
    stage = Stage()
    stage.llm.answer = answer
    async with stage.channel() as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await _drained(InferenceServiceStub(channel).StreamPredict(ASKED))
        if answer.status != 200:
            with pytest.raises(grpc.aio.AioRpcError) as caught_whole:
                await InferenceServiceStub(channel).Predict(ASKED)
            assert caught_whole.value.code() is code
    assert caught.value.code() is code
    assert "secret" not in (caught.value.details() or "")


async def test_without_its_model_the_service_is_unavailable() -> None:
    stage = Stage()
    async with stage.channel() as channel:
        await stage.lose("llm")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await InferenceServiceStub(channel).Predict(ASKED)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


async def _drained(call: AsyncIterator[pb.PredictResponse]) -> list[pb.PredictResponse]:
    return [answer async for answer in call]
