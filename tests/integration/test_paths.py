"""However a path is written, nothing but the allowlist reaches the language model."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest

from services.gateway.openai.routes import MODELS_PATH, PASSED_THROUGH
from tests.asgi import Client
from tests.fake_llm import LLM_NAME, Answer
from tests.gateway import Bundle, listening

if TYPE_CHECKING:
    from pathlib import Path

ADMIN = (
    "invocations",
    "pause",
    "sleep",
    "wake_up",
    "update_weights",
    "load",
    "ping",
    "server_info",
    "v1/load_lora_adapter",
)

DECODED = [
    *(f"/{name}" for name in ADMIN),
    "//v1/models",
    "/v1//models",
    "/v1/./models",
    "/v1/../invocations",
    "/v1/models/../../invocations",
    "/V1/MODELS",
    "/V1/chat/completions",
    "/v1/chat/completions/",
    "/v1/chat/completions/../../../pause",
    "/v1/chat/completions;x=1",
    "/v1/chat/completions\x00",
    "/v1/chat/completions ",
    "/v1/chat/completions%2f..%2fpause",
    "/v1/..;/invocations",
    "/v1/;/models",
    "/..;/pause",
    "/v1/models\u2044x/../../pause",
    "/v1\uff0fmodels",
    "/v1/chat/completions\ud800",
    "/static_content",
    "/docs.json/",
    "/schema.json\x00",
    "/DOCS.JSON",
    "/" + "a" * 60_000,
    "/v1/" * 10_000,
    "\\v1\\models",
    "v1/models",
    "",
    "*",
    "http://tandem/v1/models",
    "/_tandem/status",
    "/_tandem/predict",
]


@pytest.mark.parametrize("path", DECODED)
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_decoded_path_that_is_not_in_the_table_does_not_exist(path: str, method: str) -> None:
    bundle = Bundle()
    bundle.llm.answer = Answer([json.dumps({"data": [{"id": LLM_NAME}]}).encode()])
    await bundle.monitor.look()
    client = Client(b'{"model": "fake-llm"}')
    await client.ask(bundle.app, method, path)
    if path.startswith("/v1/models/"):
        assert client.status in {404, 405}
        assert {(asked.method, asked.path) for asked in bundle.llm.asked} <= {("GET", "/v1/models")}
    else:
        assert client.status == 404
        assert bundle.llm.asked == []


TARGETS = [
    "/%69nvocations",
    "/%2569nvocations",
    "/v1/%2e%2e/invocations",
    "/v1/..%2finvocations",
    "/v1/models%2f..%2f..%2finvocations",
    "/v1/models/%2e%2e/%2e%2e/pause",
    "/v1/models/..%252f..%252fpause",
    "/v1/models/x?/../../pause",
    "/v1/models/x%0d%0aGET%20/pause%20HTTP/1.1",
    "/v1/models#/../pause",
    "//tandem/pause",
    "///pause",
    "/./pause",
    "/v1/../pause",
    "/V1/chat/completions",
    "http://tandem/pause",
    "http://tandem/v1/models",
    "/v1/chat/completions?/../../pause",
    "/v1/chat/completion%73",
    "/v1/..;/pause",
    "/v1/%2e%2e;/pause",
    "/v1/models/%00",
    "/v1/models/%ff%fe",
    "/v1/models/%ed%a0%80",
    "/v1/models/" + "%2e%2e%2f" * 5_000,
    "/%5cpause",
    "/%2fpause",
    "/v1/%252e%252e/pause",
    "/pause;/v1/models",
    "/pause%23/v1/models",
    "HTTP://TANDEM/pause",
    "https://tandem/pause?/v1/models",
    "//tandem/v1/chat/completions",
    "/v2/models/..%2f..%2fpause/infer",
    "/v2/repository/models/../index",
    "/v2/models/%2e%2e/ready",
    "/v2/models//ready",
]


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_written_path_reaches_only_constants(tmp_path: Path, method: str) -> None:
    bundle = Bundle()
    bundle.llm.answer = Answer([json.dumps({"data": [{"id": LLM_NAME}]}).encode()])
    await bundle.monitor.look()
    async with listening(bundle.app, tmp_path / "socket"):
        for target in TARGETS:
            reader, writer = await asyncio.open_unix_connection(str(tmp_path / "socket"))
            body = b'{"model": "fake-llm"}' if method == "POST" else b""
            head = f"{method} {target} HTTP/1.1\r\nhost: tandem\r\nconnection: close\r\ncontent-length: {len(body)}\r\n\r\n"
            writer.write(head.encode() + body)
            status = int((await reader.read()).split(b" ")[1])
            assert status in {200, 400, 404, 405}, target
            writer.close()
            await writer.wait_closed()
    assert bundle.llm.asked
    for asked in bundle.llm.asked:
        assert (asked.method, asked.path) in {("GET", MODELS_PATH), *(("POST", path) for path in PASSED_THROUGH)}
