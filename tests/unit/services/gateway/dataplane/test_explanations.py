"""Explanations, whole and streamed, and why one may lack its words."""

from __future__ import annotations

import asyncio
import json

import pytest

from services.errors import Unavailable
from services.gateway.explaining import CHAT_PATH
from tests.fake_llm import LLM_NAME, Answer, chat_answer, chat_events
from tests.unit.services.gateway.dataplane.stage import ROW, SPEC, Stage


async def test_explanation_is_of_exactly_the_prediction() -> None:
    stage = await Stage.ready()
    explanation = await stage.dataplane.explain(SPEC, ROW)
    assert explanation.attributed.label == "large"
    assert explanation.attributed.probabilities == {"small": 0.4, "large": 0.6}
    assert [line.feature for line in explanation.attributed.ranked] == ["height", "age", "width"]
    assert (explanation.text, explanation.reason) == ("Because it is tall.", None)
    (asked,) = stage.llm.asked
    assert (asked.method, asked.path) == ("POST", CHAT_PATH)
    body = json.loads(asked.body)
    assert body["model"] == LLM_NAME
    assert body["stream"] is False
    assert "Label: large" in body["messages"][-1]["content"]
    assert "height" in body["messages"][-1]["content"]


@pytest.mark.parametrize(
    "answer",
    [
        chat_answer(None),
        Answer([b'{"choices": []}']),
        Answer([b'{"choices": null}']),
        Answer([b"[]"]),
        Answer([b"not JSON"]),
        Answer([b'{"choices": "\xff"}']),
        Answer([b'{"error": {"message": "Too long."}}'], status=400),
        Answer([b"oops"], status=500),
        Answer([b"["], error=Unavailable("The language model broke off.")),
    ],
)
async def test_explanation_without_words_says_why(answer: Answer) -> None:
    stage = await Stage.ready()
    stage.llm.answer = answer
    explanation = await stage.dataplane.explain(SPEC, ROW)
    assert explanation.attributed.label == "large"
    assert explanation.text is None
    assert explanation.reason is not None
    assert explanation.reason.startswith("The language model")


async def test_explanation_when_the_language_model_is_down() -> None:
    stage = Stage()
    stage.dependencies["llm"].status = {"state": "failed", "reason": "No memory."}
    await stage.monitor.look()
    explanation = await stage.dataplane.explain(SPEC, ROW)
    assert explanation.text is None
    assert explanation.reason is not None
    assert explanation.reason.startswith("The language model could not start")
    assert stage.llm.asked == []


async def test_explanation_is_streamed_piece_by_piece() -> None:
    stage = await Stage.ready()
    stage.llm.answer = Answer(chat_events("Because ", "it is ", "gr\u00fcn."), content_type="text/event-stream")
    assert await stage.streamed() == "Because it is gr\u00fcn."
    assert json.loads(stage.llm.asked[0].body)["stream"] is True
    assert stage.llm.open == 0


@pytest.mark.parametrize(
    "answer",
    [
        Answer([b'{"error": {"message": "Too long."}}'], status=400),
        Answer([b"oops"], status=502),
        Answer([b'data: {"error": {"message": "Engine died."}}\n\n', b"data: [DONE]\n\n"]),
        Answer([b'data: {"choices": [{"delta": \n\n']),
        Answer([b'data: {"choices": [{}]}\n\n']),
    ],
)
async def test_stream_that_fails_is_an_error_and_not_an_empty_text(answer: Answer) -> None:
    stage = await Stage.ready()
    stage.llm.answer = answer
    with pytest.raises(Unavailable, match="The language model"):
        await stage.streamed()
    assert stage.llm.open == 0


async def test_stream_that_is_left_early_ends_the_generation() -> None:
    stage = await Stage.ready()
    stage.llm.answer = Answer(chat_events("Because ")[:1], hold=asyncio.Event(), content_type="text/event-stream")
    pieces = stage.dataplane.explain_stream(SPEC, ROW)
    assert await anext(pieces) == "Because "
    assert stage.llm.open == 1
    await pieces.aclose()
    assert stage.llm.open == 0
