"""The language model's part of a trace, and what of its texts is in it."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from services.errors import Unavailable
from tests.fake_llm import LLM_NAME, Answer
from tests.gateway import Bundle
from tests.integration.tracing.callers import SAMPLED, TRACE, bundle_with
from tests.wired import EXPLAIN

if TYPE_CHECKING:
    from pathlib import Path

    from services.telemetry.tracing import Tracing
    from tests.otlp import Collector

CHAT = {"model": LLM_NAME, "messages": [{"role": "user", "content": "my secret question"}], "temperature": 0.5}


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
