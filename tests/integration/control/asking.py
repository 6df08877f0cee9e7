"""One request of each protocol, to a gateway that has a control."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from tests.fake_llm import LLM_NAME, Answer, chat_events
from tests.gateway import Bundle

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import httpx

    from services.gateway.control.path import Control

ROW = {"height": 60, "width": 2, "age": 3}
INPUTS = [{"name": "features", "datatype": "FP32", "shape": [1, 3], "data": [60, 2, 3]}]
NATIVE, OPENAI, OIP = "/classify", "/v1/chat/completions", "/v2/models/flowers/infer"
BODIES: dict[str, dict[str, Any]] = {
    NATIVE: {"model": "flowers", "rows": [ROW]},
    OPENAI: {"model": LLM_NAME, "messages": [{"role": "user", "content": "Why?"}], "max_tokens": 100},
    OIP: {"inputs": INPUTS},
}
every = pytest.mark.parametrize("path", BODIES)
every_change = pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"scopes": ("chat",)}, 403),
        ({"models": ("trees",)}, 403),
        ({"expires": 1.0}, 401),
        ({"digest": "00" * 32}, 401),
    ],
)
"""What may be done to a key in use, and what its next request gets."""


@asynccontextmanager
async def asking(control: Control, bundle: Bundle | None = None, **options: Any) -> AsyncIterator[httpx.AsyncClient]:
    bundle = bundle or Bundle(control=control, **options)
    await control.start()
    try:
        async with bundle.client() as client:
            yield client
    finally:
        await control.stop()


def bearer(secret: str) -> dict[str, str]:
    return {"authorization": f"Bearer {secret}"}


def message_of(answer: httpx.Response, path: str, code: str) -> str:
    """The message of an error, once its shape is that of the protocol."""
    body = answer.json()
    if path.startswith("/v1"):
        assert body["error"].keys() == {"message", "type", "param", "code"}
        assert body["error"]["code"] == code
        return str(body["error"]["message"])
    if path.startswith("/v2"):
        assert body.keys() == {"error"}
        return str(body["error"])
    assert body["code"] == code
    return str(body["error"])


def streaming(*texts: str, usage: int | None = None) -> Answer:
    events = chat_events(*texts)
    if usage is not None:
        told = {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": usage - 3, "total_tokens": usage}}
        events.insert(-1, f"data: {json.dumps(told, separators=(',', ':'))}\n\n".encode())
    return Answer(events, content_type="text/event-stream")
