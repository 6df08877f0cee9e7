"""What Tandem leaves out of vLLM's own server is there to be left out, and nothing of a chunk goes with it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

WITHIN_VLLM = """
import json
import sys

import vllm.envs
from vllm.entrypoints.generate.base.protocol import DeltaFunctionCall, DeltaMessage, DeltaToolCall, UsageInfo
from vllm.entrypoints.openai.chat_completion.protocol import ChatCompletionResponseStreamChoice, ChatCompletionStreamResponse
from vllm.entrypoints.launchers.app import build_app
from vllm.entrypoints.launchers.cli_args import make_arg_parser
from vllm.entrypoints.openai.completion.protocol import CompletionResponseStreamChoice, CompletionStreamResponse
from vllm.utils.argparse_utils import FlexibleArgumentParser

from services.llm.lean_streams import StraightResponse, _chunk_models, _routers, lighten


def chunks():
    call = DeltaToolCall(index=0, function=DeltaFunctionCall(name="look", arguments="{}"))
    for delta in (
        DeltaMessage(role="assistant", content=""),
        DeltaMessage(content="caf\\u00e9 "),
        DeltaMessage(),
        DeltaMessage(tool_calls=[call]),
        DeltaMessage(content="a", unknown=1),
    ):
        for reason in (None, "stop"):
            choice = ChatCompletionResponseStreamChoice(index=0, delta=delta, logprobs=None, finish_reason=reason)
            whole = ChatCompletionStreamResponse(id="1", created=2, model="m", choices=[choice])
            whole.usage = UsageInfo(prompt_tokens=1, completion_tokens=2, total_tokens=3) if reason else None
            yield whole.model_dump_json(exclude_unset=True)
    for text in ("", "a b"):
        choice = CompletionResponseStreamChoice(index=0, text=text, logprobs=None, finish_reason=None)
        yield CompletionStreamResponse(id="1", created=2, model="m", choices=[choice]).model_dump_json(exclude_unset=True)


def refusal():
    try:
        ChatCompletionStreamResponse(model="m", choices="none")
    except ValueError as error:
        return str(error)


def checks_itself(model):
    schema = model.__pydantic_core_schema__
    inner = schema["schema"] if schema["type"] == "definitions" else schema
    return inner["type"] == "function-wrap"


def state():
    return {
        "chunks": list(chunks()),
        "refusal": refusal(),
        "checked": [checks_itself(model) for model in _chunk_models()],
        "straight": [router.StreamingResponse is StraightResponse for router in _routers()],
        "cached": hasattr(vllm.envs.__getattr__, "cache_info"),
    }


args = make_arg_parser(FlexibleArgumentParser()).parse_args(["--model", "m", *sys.argv[1:]])
app = build_app(args, ("generate",), None)
before = state()
lighten(app)
after = state()
lighten(app)
print(json.dumps({"before": before, "after": after, "again": state()}))
"""


def states(*arguments: str, **environment: str) -> dict[str, Any]:
    """Of vLLM's own app, as its command line says."""
    found = subprocess.run(
        [sys.executable, "-c", WITHIN_VLLM, *arguments],
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ | environment,
    )
    told: dict[str, Any] = json.loads(found.stdout.splitlines()[-1])
    return told


@pytest.fixture(scope="module")
def lightened() -> dict[str, Any]:
    return states("--enable-request-id-headers", "--api-key", "x")


def test_chunks_are_the_same_without_their_check(lightened: dict[str, Any]) -> None:
    before, after = lightened["before"], lightened["after"]
    assert len(before["chunks"]) == 12
    assert after["chunks"] == before["chunks"]
    assert "choices" in after["refusal"]
    assert after["refusal"] == before["refusal"]


def test_each_part_is_there_to_be_left_out(lightened: dict[str, Any]) -> None:
    before, after = lightened["before"], lightened["after"]
    assert (set(before["checked"]), set(after["checked"])) == ({True}, {False})
    assert (set(before["straight"]), set(after["straight"])) == ({False}, {True})
    assert (before["cached"], after["cached"]) == (False, True)
    assert lightened["again"] == after


@pytest.mark.parametrize(
    ("arguments", "environment"),
    [
        (("--middleware", "starlette.middleware.gzip.GZipMiddleware"), {}),
        ((), {"VLLM_DEBUG_LOG_API_SERVER_RESPONSE": "True"}),
    ],
)
def test_middleware_that_is_not_known_to_look_at_heads_alone_sees_every_piece(
    arguments: tuple[str, ...], environment: dict[str, str]
) -> None:
    after = states(*arguments, **environment)["after"]
    assert set(after["straight"]) == {False}
    assert set(after["checked"]) == {False}
