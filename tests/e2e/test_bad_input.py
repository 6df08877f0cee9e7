"""What no client should send, to the real bundle: nothing fails inside, and the next request is answered as ever."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING, Any

import jsonschema_rs
import pytest

from tests.wire import request

if TYPE_CHECKING:
    from tests.e2e.server import Server

MODEL = "tandem-mini"
MESSAGES = [{"role": "user", "content": "What is Tandem?"}]
CHAT: dict[str, Any] = {"model": MODEL, "messages": MESSAGES, "max_tokens": 3, "temperature": 0}
TEXT: dict[str, Any] = {"model": MODEL, "prompt": "What", "max_tokens": 3, "temperature": 0}
DEEP = b"[" * 900 + b"]" * 900
CHATS: dict[str, Any] = {
    "max_tokens": [0, -1, 2**31, 2**63, 10**30, 1.5, "1", [], 1e308],
    "temperature": [-1, 1e308, "hot", None, 1e-300, 3],
    "top_p": [0, -1, 2, 1e-300],
    "top_k": [-2, 0, 2**40, 10**30],
    "min_p": [-1, 2],
    "n": [0, -1, 10**30, 1.5, 2**31],
    "seed": [-1, 2**63, 2**64, 10**30, -(10**30)],
    "stop": ["", [""], ["\x00"], [1], ["a"] * 5000, "\ud7ff"],
    "stop_token_ids": [[-1], [2**31], [2**63], ["a"]],
    "bad_words": [[""], ["a" * 10_000], [1]],
    "allowed_token_ids": [[], [-1], [2**31]],
    "logit_bias": [{"-1": 1}, {"99999999": 1}, {"a": 1}, {"1": 1e308}, {"1": "a"}],
    "logprobs": ["a", 3],
    "top_logprobs": [-1, 10**9, 10**30],
    "prompt_logprobs": [-2, 10**9],
    "frequency_penalty": [-1e308, 1e308, 3],
    "repetition_penalty": [0, -1, 1e308],
    "min_tokens": [-1, 100, 2**40],
    "truncate_prompt_tokens": [-2, 0, 10**9, 2**63],
    "response_format": [
        {"type": "json_schema"},
        {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "nothing"}}},
        {"type": "json_schema", "json_schema": {"name": "x", "schema": {"$ref": "#/a/b"}}},
        {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "string", "pattern": "(((("}}},
        {"type": "json_schema", "json_schema": {"name": "x", "schema": {"$ref": "file:///etc/passwd"}}},
        {"type": "nothing"},
        3,
        "x",
        [],
    ],
    "structured_outputs": [
        {"regex": "((("},
        {"grammar": "root ::="},
        {"choice": []},
        {"json": "{"},
        {"regex": "(a*)*b" * 20},
        3,
    ],
    "guided_regex": ["((("],
    "chat_template": ["{{ 1/0 }}", "{% for x in range(10**9) %}{% endfor %}"],
    "chat_template_kwargs": [{"tokenize": True}, {"messages": 3}, 3],
    "add_generation_prompt": ["x"],
    "tools": [[{}], [{"type": "function", "function": {"name": "x", "parameters": {"type": 3}}}], 3],
    "tool_choice": ["required", {"type": "function"}, 3, [], {"type": "function", "function": 3}],
    "reasoning_effort": [3, "x"],
    "include_reasoning": ["x"],
    "thinking_token_budget": [-5],
    "media_io_kwargs": [3],
    "logprob_token_ids": [[-1], 3],
    "messages": [
        [],
        3,
        None,
        "x",
        [3],
        [{}],
        [{"role": "assistant", "tool_calls": 3}],
        [{"role": "assistant", "tool_calls": [3]}],
        [{"role": "tool", "content": []}],
        [{"role": "nobody", "content": "x"}],
        [{"role": "user", "content": None}],
        [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "file:///etc/passwd"}}]}],
        [{"role": "user", "content": [{"type": "text"}]}],
        [{"role": "user", "content": "x" * 200_000}],
        [{"role": "user", "content": "\x00\ufffe\U000e0001"}],
    ],
    "stream_options": [{"include_usage": "x"}, {"continuous_usage_stats": True}, 3],
    "priority": [2**70, -1],
    "cache_salt": ["", 3],
    "kv_transfer_params": [{"do_remote_decode": True, "remote_host": "127.0.0.1"}],
    "vllm_xargs": [{"a": 1}, 3],
    "request_id": ["\x00", "x" * 10_000, 3],
    "echo": [True],
    "continue_final_message": [True],
    "documents": [[{"a": "b"}], 3],
    "mm_processor_kwargs": [{"a": 1}],
    "return_tokens_as_token_ids": [True],
    "logits_processors": [["os.system"], [{"qualname": "os.system", "args": ["true"]}]],
}
TEXTS: dict[str, Any] = {
    "prompt": [[], "", [""], [[]], [-1], [2**31], [2**63], [[1], [10**9]], [1.5], [None], {"a": 1}, None, ["x"] * 300],
    "best_of": [0, -1, 10**30],
    "suffix": ["x"],
    "echo": [True],
    "logprobs": [-1, 10**9],
    "prompt_embeds": ["", "gASVAAAA", 3],
}
TOOL = {"type": "function", "function": {"name": "x"}}
TOOLS: list[dict[str, Any]] = [
    {"tools": [{}], "tool_choice": TOOL},
    {"tools": [3], "tool_choice": TOOL},
    {"tools": [{"function": 3}], "tool_choice": TOOL},
    {"tools": {"a": 1}, "tool_choice": TOOL},
]
RAW: list[tuple[str, bytes]] = [
    (
        "/v1/chat/completions",
        b'{"model": "tandem-mini", "messages": [{"role": "user", "content": "\\ud800"}], "max_tokens": 3}',
    ),
    ("/v1/chat/completions", b'{"messages": [{"role": "user", "content": "a"}], "max_tokens": 3, "x": 1e999}'),
    ("/v1/chat/completions", b'{"messages": [{"role": "user", "content": "a"}], "max_tokens": 3, "x": %b}' % DEEP),
    ("/v1/completions", b'{"prompt": "\\ud83d", "max_tokens": 3}'),
    ("/tokenize", b'{"prompt": "\\udfff"}'),
    ("/tokenize", b'{"prompt": ["a", "b"]}'),
    ("/tokenize", b'{"messages": [{"role": "user", "content": "\\ud800"}]}'),
    ("/detokenize", b'{"tokens": [-1]}'),
    ("/detokenize", b'{"tokens": [99999999]}'),
    ("/detokenize", b'{"tokens": [9223372036854775808]}'),
    ("/detokenize", b'{"tokens": "a"}'),
    ("/v1/embeddings", b'{"input": "a"}'),
    (
        "/v1/responses",
        b'{"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "file:///etc/passwd"}]}]}',
    ),
    ("/v1/responses", b'{"input": "a", "previous_response_id": "../x", "max_output_tokens": 3}'),
    ("/v1/responses", b'{"input": "a", "max_output_tokens": -1}'),
    ("/v1/responses", b'{"input": 3}'),
    ("/v1/responses", b'{"input": "a", "background": true, "store": true, "max_output_tokens": 3}'),
]


def bodies() -> list[tuple[str, bytes]]:
    """Paths, and what is sent to them."""
    made = [
        ("/v1/chat/completions", json.dumps({**CHAT, name: value}).encode())
        for name, values in CHATS.items()
        for value in values
    ]
    made += [
        ("/v1/completions", json.dumps({**TEXT, name: value}).encode())
        for name, values in TEXTS.items()
        for value in values
    ]
    made += [("/v1/chat/completions", json.dumps({**CHAT, **fields}).encode()) for fields in TOOLS]
    return made + RAW


def test_nothing_that_a_client_asks_of_the_language_model_fails_inside(server: Server) -> None:
    good = server.http.post("/v1/chat/completions", json=CHAT).json()["choices"]
    failed = []
    for path, body in bodies():
        answer = server.http.post(path, content=body, timeout=60)
        if answer.status_code >= 500:
            failed.append((path, body[:150], answer.status_code))
        else:
            assert answer.headers["content-type"] == "application/json", body[:150]
            answer.json()
    assert not failed
    assert server.get_json("/readyz")["ready"]
    assert server.http.post("/v1/chat/completions", json=CHAT).json()["choices"] == good


UNSATISFIABLE: list[dict[str, Any]] = [
    {"structured_outputs": {"grammar": "root ::= root"}},
    {"structured_outputs": {"choice": ["a"]}, "allowed_token_ids": [5]},
    {"structured_outputs": {"json": {"$defs": {"a": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"}}},
]


@pytest.mark.parametrize("fields", UNSATISFIABLE)
def test_constraints_that_nothing_satisfies_are_the_requests_own_fault(server: Server, fields: dict[str, Any]) -> None:
    answer = server.http.post("/v1/chat/completions", json=CHAT | fields)
    assert answer.status_code == 400
    assert "structured_outputs" in answer.json()["error"]["message"]
    streamed = server.http.post("/v1/chat/completions", json=CHAT | fields | {"stream": True})
    last = json.loads(streamed.text.removesuffix("data: [DONE]\n\n").strip().rpartition("data: ")[2])
    assert last["error"]["code"] == "invalid_input"


def schema_of(document: dict[str, Any], path: str, method: str, status: int) -> Any:
    """What the document says of a body, as a validator."""
    content = document["paths"][path][method]["responses"][str(status)]["content"]
    return jsonschema_rs.validator_for({**content["application/json"]["schema"], "components": document["components"]})


def test_answers_of_the_real_bundle_are_what_its_document_says(server: Server) -> None:
    document = server.http.get("/openapi.json").json()
    row = {"sepal_length": 5.1, "sepal_width": 3.5, "petal_length": 1.4, "petal_width": 0.2}
    features = {"name": "features", "datatype": "FP32", "shape": [1, 4], "data": [5.1, 3.5, 1.4, 0.2]}
    asked: list[tuple[str, str, Any, int]] = [
        ("post", "/classify", {"model": "iris", "rows": [row]}, 200),
        ("post", "/classify", {"model": "iris", "rows": [{}]}, 400),
        ("post", "/explain", {"model": "iris", "row": row}, 200),
        ("post", "/v1/chat/completions", CHAT, 200),
        ("post", "/v1/chat/completions", CHAT | {"max_tokens": -1}, 400),
        ("post", "/v1/completions", TEXT, 200),
        ("post", "/v1/responses", {"input": "What is Tandem?", "max_output_tokens": 3}, 200),
        ("post", "/v1/embeddings", {"input": "a"}, 404),
        ("post", "/tokenize", {"prompt": "a"}, 200),
        ("post", "/detokenize", {"tokens": [5]}, 200),
        ("get", "/v1/models", None, 200),
        ("get", "/v1/models/{model}", None, 200),
        ("get", "/v2", None, 200),
        ("get", "/v2/models/{model}", None, 200),
        ("get", "/v2/models/{model}/ready", None, 200),
        ("post", "/v2/models/{model}/infer", {"inputs": [features]}, 200),
        ("post", "/v2/models/{model}/infer", {"inputs": []}, 400),
        ("post", "/v2/repository/index", {}, 200),
        *(
            ("get", path, None, 200)
            for path in ("/livez", "/healthz", "/readyz", "/health", "/docs.json", "/schema.json")
        ),
    ]
    for method, path, body, status in asked:
        url = path.replace("{model}", MODEL if path.startswith("/v1") else "iris")
        answer = server.http.request(method, url, json=body, timeout=60)
        assert answer.status_code == status, (path, answer.text)
        schema_of(document, path, method, status).validate(answer.json())


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (request(b"/livez", b"connection: upgrade", b"upgrade: websocket", b"sec-websocket-version: 13"), 200),
        (request(b"/static_content/x", b"connection: upgrade", b"upgrade: websocket", b"sec-websocket-key: x"), 404),
        (request(b"/livez", b"x: " + b"y" * 2**17), 431),
        (
            request(
                b"/classify", b"content-length: 0", b"transfer-encoding: chunked", method=b"POST", body=b"0\r\n\r\n"
            ),
            400,
        ),
        (request(b"/static_content/..%2f..%2fclassify"), 404),
        (request(b"//classify", method=b"POST", body=b"{}"), 404),
        (request(b"/pause", method=b"POST", body=b"{}"), 404),
    ],
)
def test_real_server_reads_http_in_one_way(server: Server, sent: bytes, status: int) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        connection.sendall(sent)
        assert connection.recv(12) == b"HTTP/1.1 %d" % status


@pytest.mark.parametrize("grammar", ['start: "a" "b"', 'start: "a" <|user|>', "start: /[ab]/ <[4]>"])
def test_grammars_that_can_be_satisfied_are_not_refused_whatever_tokens_they_name(server: Server, grammar: str) -> None:
    answer = server.http.post("/v1/chat/completions", json=CHAT | {"structured_outputs": {"grammar": grammar}})
    assert answer.status_code == 200, answer.text
    assert answer.json()["choices"][0]["message"]["content"][0] in "ab"
