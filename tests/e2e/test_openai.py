from __future__ import annotations

import asyncio
import json
import socket
import time
from typing import TYPE_CHECKING, Any

import httpx
import openai
import pytest

from services.gateway.openai.routes import PASSED_THROUGH
from tests.e2e.server import PROJECT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.server import Server

MESSAGES: list[Any] = [{"role": "user", "content": "What is Tandem?"}]
WITH_USAGE = {"stream_options": {"include_usage": True}}
RUNNING = "vllm:num_requests_running"


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as made:
        yield made


@pytest.fixture(scope="module")
def model(client: openai.OpenAI) -> str:
    return client.models.list().data[0].id


def test_models_can_be_listed_and_retrieved(client: openai.OpenAI, model: str) -> None:
    assert model == "tandem-mini"
    assert client.models.retrieve(model).id == model
    assert str(PROJECT) not in client.models.list().to_json()
    with pytest.raises(openai.NotFoundError, match="does not exist"):
        client.models.retrieve("no/such-model")


def test_chat_answers_the_same_whole_and_streamed(client: openai.OpenAI, model: str) -> None:
    whole = client.chat.completions.create(model=model, messages=MESSAGES, temperature=0, max_tokens=60)
    text = whole.choices[0].message.content
    assert text
    assert whole.usage
    assert whole.usage.completion_tokens > 0
    chunks = list(
        client.chat.completions.create(
            model=model,
            messages=MESSAGES,
            temperature=0,
            max_tokens=60,
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == text
    assert chunks[-1].usage == whole.usage
    assert len(chunks) > 5


def test_completions_responses_and_tokens(client: openai.OpenAI, server: Server, model: str) -> None:
    assert client.completions.create(model=model, prompt="Tandem", max_tokens=5).choices[0].text
    assert client.responses.create(model=model, input="What is Tandem?", max_output_tokens=20).output
    tokens = server.http.post("/tokenize", json={"model": model, "prompt": "Tandem 42"}).json()["tokens"]
    back = server.http.post("/detokenize", json={"model": model, "tokens": tokens}).json()["prompt"]
    assert back.strip().endswith("Tandem 42")


def test_structured_output_is_valid(client: openai.OpenAI, model: str) -> None:
    schema = {
        "type": "object",
        "properties": {"label": {"type": "string", "enum": ["setosa", "versicolor"]}},
        "required": ["label"],
        "additionalProperties": False,
    }
    answer = client.chat.completions.create(
        model=model,
        messages=MESSAGES,
        max_tokens=60,
        response_format={"type": "json_schema", "json_schema": {"name": "label", "schema": schema}},
    )
    assert json.loads(answer.choices[0].message.content or "")["label"] in ("setosa", "versicolor")


def test_errors_have_openais_shape(client: openai.OpenAI, server: Server, model: str) -> None:
    with pytest.raises(openai.NotFoundError, match="'gpt-none' does not exist"):
        client.chat.completions.create(model="gpt-none", messages=MESSAGES)
    with pytest.raises(openai.BadRequestError, match="context length"):
        client.chat.completions.create(model=model, messages=[{"role": "user", "content": "word " * 20_000}])
    with pytest.raises(openai.BadRequestError, match="temperature"):
        client.chat.completions.create(model=model, messages=MESSAGES, temperature=-1)
    for method, path, body, status in [
        ("POST", "/v1/chat/completions", b"{", 400),
        ("POST", "/v1/chat/completions", b'{"model": 3}', 400),
        ("POST", "/v1/chat/completions", b'{"messages": "\xff"}', 400),
        ("POST", "/v1/chat/completions", b"x" * (17 * 2**20), 413),
        ("GET", "/v1/chat/completions", b"", 405),
        ("POST", "/v1/nothing", b"{}", 404),
    ]:
        answer = server.http.request(method, path, content=body)
        assert answer.status_code == status, (path, answer.text)
        error = answer.json()["error"]
        assert set(error) == {"message", "type", "param", "code"}
        assert error["message"]


@pytest.mark.parametrize(
    "target",
    [
        "/invocations",
        "/%69nvocations",
        "//v1/models",
        "/v1/../invocations",
        "/v1/./models",
        "/V1/models",
        "/v1/models/../../pause",
        "/pause",
        "/sleep",
        "/update_weights",
        "/scale_elastic_ep",
        "/v1/load_lora_adapter",
        "/v1/chat/completions/",
        "/_tandem/status",
        "/_tandem/predict",
        "http://localhost/invocations",
    ],
)
def test_no_spelling_reaches_past_the_allowlist(server: Server, target: str) -> None:
    assert target not in PASSED_THROUGH
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as raw:
        head = f"POST {target} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{{}}"
        raw.sendall(head.encode())
        status = int(raw.recv(64).split(b" ")[1])
    assert status in (404, 405)


async def _tokens_streamed(http: httpx.AsyncClient, model: str, tokens: int) -> int:
    """Tokens that a stream says it brought, once it has ended as it should."""
    body = {"model": model, "messages": MESSAGES, "max_tokens": tokens, "stream": True, "ignore_eos": True}
    usage = 0
    async with http.stream("POST", "/v1/chat/completions", json={**body, **WITH_USAGE}) as response:
        assert response.status_code == 200
        async for line in response.aiter_lines():
            if line == "data: [DONE]":
                return usage
            if line.startswith("data: "):
                usage = (json.loads(line[6:]).get("usage") or {}).get("completion_tokens", usage)
    raise AssertionError("the stream ended without [DONE]")


async def test_64_streams_at_once_lose_nothing(server: Server, model: str) -> None:
    limits = httpx.Limits(max_connections=64)
    async with httpx.AsyncClient(base_url=server.url, timeout=120, limits=limits) as http:
        counts = await asyncio.gather(*(_tokens_streamed(http, model, 40) for _ in range(64)))
    assert counts == [40] * 64


async def test_a_client_that_leaves_stops_its_generation(server: Server, model: str) -> None:
    body = {"model": model, "messages": MESSAGES, "max_tokens": 100_000, "stream": True, "ignore_eos": True}
    body["max_tokens"] = int(server.http.get(f"/v1/models/{model}").json()["max_model_len"]) - 100
    async with httpx.AsyncClient(base_url=server.url, timeout=60) as http:
        async with http.stream("POST", "/v1/chat/completions", json=body) as response:
            lines = response.aiter_lines()
            for _ in range(6):
                await anext(lines)
            assert await asyncio.to_thread(server.metric, RUNNING) >= 1
        left = time.monotonic()
        while await asyncio.to_thread(server.metric, RUNNING) > 0:
            assert time.monotonic() - left < 1.5
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("stream", [False, True])
def test_a_timeout_ends_the_generation(server: Server, model: str, stream: bool) -> None:
    body = {"model": model, "messages": MESSAGES, "max_tokens": 800, "stream": stream, "ignore_eos": True}
    answer = server.http.post("/v1/chat/completions", json=body, headers={"x-request-timeout": "0.3"})
    assert answer.status_code == (200 if stream else 504)
    last = answer.text.rstrip().rpartition("data: ")[2]
    assert json.loads(last)["error"]["code"] == "deadline_exceeded"
    server.wait_for(lambda: server.metric(RUNNING) == 0, 30)
