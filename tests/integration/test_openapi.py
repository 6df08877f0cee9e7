"""The OpenAPI document is complete, and true: schemathesis makes requests of it, and holds the answers to it."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS, load_all_checks

from services.asgi import send_json
from services.gateway.app import model_routes, routes
from services.gateway.control.policy import OPEN
from services.gateway.document import document
from tests.fake_llm import LLM_NAME, Answer, FakeLLM
from tests.fakes import StoringClassifier
from tests.served import served
from tests.stage import FLOWERS, Stage, tensor_spec

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from services.asgi import ASGIApp, Receive, Scope, Send
    from services.gateway import streamed

DOUBLER = tensor_spec("doubler", ("x", "FP32", (-1, 2)))
MAX_ROWS = 10
DOCUMENT = document(MAX_ROWS)
OPERATIONS = [(method, path) for path, item in DOCUMENT["paths"].items() for method in item]
EXAMPLES = 8

load_all_checks()
CHECKED = CHECKS.get_by_names(
    [
        "status_code_conformance",
        "content_type_conformance",
        "response_headers_conformance",
        "response_schema_conformance",
        "negative_data_rejection",
        "positive_data_acceptance",
        "allow_header_conformance",
    ]
)
JUDGED_BY_VLLM = (
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/responses",
    "/v1/embeddings",
    "/tokenize",
    "/detokenize",
)
NOT_SAID_BY_THE_SCHEMA = ("/v2/models/{model}/infer", "/v2/models/{model}/versions/{version}/infer")
"""Whose bodies have to fit the model, which no schema can say: what the document allows may be refused."""

_HEAD = {"id": "1", "created": 1, "model": LLM_NAME}
_USAGE = {"usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}}
_CHAT = {**_HEAD, "object": "chat.completion", **_USAGE}
LLM_ANSWERS: dict[str, Any] = {
    "/v1/models": {"object": "list", "data": [{"id": LLM_NAME, "object": "model", "root": "/somewhere"}]},
    "/v1/chat/completions": _CHAT
    | {"choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi."}, "finish_reason": "stop"}]},
    "/v1/completions": _CHAT | {"choices": [{"index": 0, "text": "Hi.", "finish_reason": None}]},
    "/v1/responses": {"id": "1", "object": "response", "output": []},
    "/v1/embeddings": {**_USAGE, "data": [{"index": 0, "embedding": [0.5]}]},
    "/tokenize": {"count": 1, "max_model_len": 2, "tokens": [3]},
    "/detokenize": {"prompt": "Hi."},
}


class AnsweringLLM(FakeLLM):
    """Answers each path in its shape."""

    @asynccontextmanager
    async def stream(
        self, method: str, path: str, body: bytes, headers: dict[str, str]
    ) -> AsyncIterator[streamed.Answer]:
        self.answer = Answer([json.dumps(LLM_ANSWERS[path]).encode()])
        async with super().stream(method, path, body, headers) as response:
            yield response


async def schema_of_bentoml(scope: Scope, receive: Receive, send: Send) -> None:
    await send_json(send, 200, b"{}", ((b"x-request-id", b"1"),))


async def gateway() -> ASGIApp:
    """The gateway over fakes."""
    stage = Stage(
        (FLOWERS, DOUBLER),
        classifier=StoringClassifier(FLOWERS, DOUBLER),
        llm=AnsweringLLM(),
        fallback=schema_of_bentoml,
        max_rows=MAX_ROWS,
        max_body_bytes=2**20,
    )
    await stage.monitor.look()
    return stage.app


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with served(gateway) as url:
        yield url


def narrowed() -> dict[str, Any]:
    """The document as it would be for the models of this gateway alone, so that requests get beyond `404`."""
    narrow = deepcopy(DOCUMENT)
    features = {one.name: {"type": "number", "minimum": one.low, "maximum": one.high} for one in FLOWERS.features}
    schemas = narrow["components"]["schemas"]
    schemas["Row"] = {"type": "object", "required": [*features], "properties": features, "additionalProperties": False}
    for path, item in narrow["paths"].items():
        for operation in item.values():
            for parameter in operation["parameters"]:
                if parameter.get("in") == "path":
                    served_here = [LLM_NAME] if path.startswith("/v1/") else ["flowers", "doubler"]
                    parameter["schema"] = {"enum": ["v1"] if parameter["name"] == "version" else served_here}
            body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
            properties = body.get("properties", {})
            if "model" in properties:
                properties["model"] = {"enum": ["flowers"]}
                properties["version"] = {"enum": [None, "v1"]}
    for schema in schemas.values():
        for asked in (schema, *schema.get("anyOf", ())):
            if asked.get("properties", {}).get("model", {}).get("description", "").startswith("A name that"):
                asked["properties"]["model"] = {"enum": [None, LLM_NAME]}
    for change in ("load", "unload"):
        content = narrow["paths"][f"/v2/repository/models/{{model}}/{change}"]["post"]["requestBody"]["content"]
        content["application/json"]["schema"]["properties"]["parameters"]["properties"] = {
            "version": {"enum": ["", "v1"]}
        }
    narrow["components"]["parameters"]["timeout"]["schema"] = {"type": "number", "minimum": 5, "maximum": 1e9}
    return narrow


def is_number(text: Any) -> bool:
    try:
        return float(text) > 0
    except (TypeError, ValueError):
        return False


def takes_something(method: str, path: str) -> bool:
    """Whether a request can be bad at all."""
    operation = DOCUMENT["paths"][path][method]
    return bool(operation["parameters"] or "requestBody" in operation)


CASES = [
    pytest.param(method, path, mode, id=f"{name} {method} {path}")
    for method, path in OPERATIONS
    for mode, name in ((GenerationMode.POSITIVE, "good"), (GenerationMode.NEGATIVE, "bad"))
    if mode is GenerationMode.POSITIVE or takes_something(method, path)
]


@pytest.mark.parametrize(("method", "path", "mode"), CASES)
def test_answers_are_what_the_document_says(address: str, method: str, path: str, mode: GenerationMode) -> None:
    schema = schemathesis.openapi.from_dict(NARROWED)
    operation = schema[path][method.upper()]
    takes_body = "requestBody" in DOCUMENT["paths"][path][method]

    def fits(name: str, case: schemathesis.Case[Any]) -> bool:
        if name == "negative_data_rejection":  # a header that "became an object" may still be written as a number
            return path not in JUDGED_BY_VLLM and (takes_body or not is_number(case.headers.get("x-request-timeout")))
        return name != "positive_data_acceptance" or path not in NOT_SAID_BY_THE_SCHEMA

    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        deadline=None,
        database=None,
        phases=(Phase.explicit, Phase.generate),
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def ask(case: schemathesis.Case[Any]) -> None:
        response = case.call(base_url=address, timeout=20)
        assert response.status_code not in {500, 503, 504}, response.text
        checks: Any = [check for check in CHECKED if fits(check.__name__, case)]
        case.validate_response(response, checks=checks)

    ask()


NARROWED = narrowed()


def test_document_has_every_path_of_the_gateway() -> None:
    class Handlers:
        def __getattr__(self, name: str) -> Any:
            return None

    anything: Any = Handlers()
    table = {**routes(*[anything] * 5), **model_routes(anything, anything)}
    served_paths = {(route.method.lower(), path) for path, route in table.items()}
    assert set(OPERATIONS) == served_paths | {("get", "/schema.json")}


def test_document_says_which_paths_are_open() -> None:
    for path, item in DOCUMENT["paths"].items():
        for operation in item.values():
            assert (operation.get("security") == []) == (path in {*OPEN, "/schema.json"}), path
            assert ("401" in operation["responses"]) == (operation.get("security") != []), path


def test_document_is_valid_and_its_ids_are_its_own() -> None:
    schemathesis.openapi.from_dict(DOCUMENT).validate()
    ids = [operation["operationId"] for item in DOCUMENT["paths"].values() for operation in item.values()]
    assert len(ids) == len(set(ids))


async def test_document_is_served_to_everybody() -> None:
    async with Stage((FLOWERS,)).client() as client:
        for path in ("/openapi.json", "/docs.json"):
            answer = await client.get(path)
            assert answer.status_code == 200
            assert answer.json()["openapi"] == "3.1.0"
            assert "flowers" not in answer.text
