"""Every row of the error table, in the shape of the protocol that was spoken."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from services.errors import DeadlineExceeded, InternalError, Overloaded, ServingError, Unavailable
from tests.fake_llm import LLM_NAME, Answer
from tests.gateway import MAX_BODY, MAX_ROWS, Bundle

if TYPE_CHECKING:
    import httpx

ROW = {"height": 60, "width": 2, "age": 3}
NATIVE = "/classify"
OPENAI = "/v1/chat/completions"
GOOD: dict[str, dict[str, Any]] = {
    NATIVE: {"model": "flowers", "rows": [ROW]},
    OPENAI: {"model": LLM_NAME, "messages": []},
}
both = pytest.mark.parametrize("path", [NATIVE, OPENAI])


def error_of(answer: httpx.Response, path: str) -> dict[str, Any]:
    """The error in the shape that belongs to `path`, with the same keys for both."""
    body: dict[str, Any] = answer.json()
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-request-id"]
    if path.startswith("/v1"):
        assert body.keys() == {"error"}
        error: dict[str, Any] = body["error"]
        assert error.keys() == {"message", "type", "param", "code"}
        return error
    assert body.keys() == {"error", "code", "param", "request_id"}
    assert body["request_id"] == answer.headers["x-request-id"]
    return {"message": body["error"], "code": body["code"], "param": body["param"]}


@both
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"not JSON",
        b"\xff\xfe",
        b'{"model": "fl\xff"}',
        b"[" * 100_000,
        b'{"model": ' + b"[" * 99_999,
        b'{"x": ' + b"[" * 99_999,
    ],
)
async def test_malformed_json_is_400(path: str, content: bytes) -> None:
    bundle = Bundle()
    async with bundle.client() as client:
        answer = await client.post(path, content=content)
    assert answer.status_code == 400
    assert error_of(answer, path)["code"] == "invalid_input"
    assert bundle.llm.asked == []
    assert bundle.classifier.batches == []


async def test_text_that_is_not_utf_8_is_400_wherever_it_stands() -> None:
    bundle = Bundle()
    async with bundle.client() as client:
        answer = await client.post(OPENAI, content=b'{"model": "fake-llm", "messages": [{"content": "\xed\xa0\x80"}]}')
    assert answer.status_code == 400
    assert error_of(answer, OPENAI)["code"] == "invalid_input"
    assert bundle.llm.asked == []


@both
async def test_body_that_is_no_object_is_400(path: str) -> None:
    async with Bundle().client() as client:
        bodies: tuple[Any, ...] = ([], None, 3, "text")
        for body in bodies:
            answer = await client.post(path, json=body)
            assert answer.status_code == 400
            error_of(answer, path)


async def test_bad_row_is_400_with_its_place() -> None:
    async with Bundle().client() as client:
        answer = await client.post("/classify", json={"model": "flowers", "rows": [ROW, ROW | {"width": "wide"}]})
        error = error_of(answer, NATIVE)
        assert answer.status_code == 400
        assert error["param"] == "rows[1].width"
        assert error["message"] == "rows[1].width: must be a number, not a string."


async def test_too_many_rows_is_400() -> None:
    async with Bundle().client() as client:
        rows = [{"height": 1, "width": 1, "age": 1}] * (MAX_ROWS + 1)
        answer = await client.post("/classify", json={"model": "flowers", "rows": rows})
        assert answer.status_code == 400
        assert error_of(answer, NATIVE)["param"] == "rows"


@both
async def test_unknown_model_is_404_and_says_what_is_served(path: str) -> None:
    bundle = Bundle()
    async with bundle.client() as client:
        answer = await client.post(path, json=GOOD[path] | {"model": "nope"})
    assert answer.status_code == 404
    error = error_of(answer, path)
    assert (error["code"], error["param"]) == ("model_not_found", "model")
    assert "flowers" in error["message"] or LLM_NAME in error["message"]
    assert bundle.llm.asked == []


async def test_unknown_language_model_by_name_is_404() -> None:
    bundle = Bundle()
    bundle.llm.answer = Answer([json.dumps({"data": [{"id": LLM_NAME}]}).encode()])
    async with bundle.client() as client:
        for path in ("/v1/models/nope", "/v1/models/"):
            answer = await client.get(path)
            assert answer.status_code == 404
            assert error_of(answer, path)["code"] == "model_not_found"


async def test_adapters_are_models_too() -> None:
    async with Bundle().client() as client:
        assert (await client.post(OPENAI, json={"model": "lora", "messages": []})).status_code == 200


@pytest.mark.parametrize("path", ["/nowhere", "/v1/nowhere", "/classify/", "/v1", "/v1/chat"])
async def test_unknown_path_is_404(path: str) -> None:
    async with Bundle().client() as client:
        answer = await client.get(path)
    assert answer.status_code == 404
    assert error_of(answer, path)["code"] == "not_found"


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/classify", "POST"),
        ("PUT", "/explain", "POST"),
        ("HEAD", "/explain_stream", "POST"),
        ("POST", "/livez", "GET"),
        ("DELETE", "/metrics", "GET"),
        ("GET", "/v1/chat/completions", "POST"),
        ("POST", "/v1/models", "GET"),
        ("DELETE", "/v1/models/fake-llm", "GET"),
        ("BREW", "/tokenize", "POST"),
    ],
)
async def test_wrong_method_is_405_with_what_is_allowed(method: str, path: str, allowed: str) -> None:
    bundle = Bundle()
    async with bundle.client() as client:
        answer = await client.request(method, path)
    assert answer.status_code == 405
    assert answer.headers["allow"] == allowed
    assert bundle.llm.asked == []


@both
async def test_body_over_the_limit_is_413(path: str) -> None:
    bundle = Bundle()

    async def in_chunks() -> Any:
        for _ in range(MAX_BODY // 2**16 + 1):
            yield b" " * 2**16

    async with bundle.client() as client:
        for content in (b" " * (MAX_BODY + 1), in_chunks()):
            answer = await client.post(path, content=content)
            assert answer.status_code == 413
            assert error_of(answer, path)["code"] == "payload_too_large"
    assert bundle.llm.asked == []


@both
async def test_odd_content_length_is_400(path: str) -> None:
    async with Bundle().client() as client:
        answer = await client.post(path, content=b"{}", headers={"content-length": "2x"})
        assert answer.status_code == 400
        error_of(answer, path)


@pytest.mark.parametrize(
    ("error", "status", "retry_after"),
    [
        (Overloaded("full", retry_after=3), 429, "3"),
        (Unavailable("down"), 503, "1"),
        (DeadlineExceeded("late"), 504, None),
        (InternalError("bug"), 500, None),
        (ZeroDivisionError("secret"), 500, None),
    ],
)
@both
async def test_errors_from_below(path: str, error: Exception, status: int, retry_after: str | None) -> None:
    bundle = Bundle()
    bundle.classifier.error = bundle.llm.error = error
    async with bundle.client() as client:
        answer = await client.post(path, json=GOOD[path])
    assert answer.status_code == status
    assert answer.headers.get("retry-after") == retry_after
    assert "secret" not in answer.text
    assert "ZeroDivision" not in answer.text
    found = error_of(answer, path)
    if isinstance(error, ServingError):
        assert found["code"] == error.kind
    assert bundle.telemetry.active == 0
    assert bundle.counted(path, status) == 1


@pytest.mark.parametrize(
    ("path", "dependency"),
    [(NATIVE, "classifier"), ("/explain", "classifier"), ("/explain_stream", "llm"), (OPENAI, "llm")],
)
@pytest.mark.parametrize("state", ["starting", "failed", "down"])
async def test_dependency_that_is_not_ready_is_503_at_once(path: str, dependency: str, state: str) -> None:
    bundle = Bundle()
    body = GOOD.get(path, {"model": "flowers", "row": ROW})
    async with bundle.client() as client:
        if state == "down":
            bundle.dependencies[dependency].die()
        else:
            bundle.dependencies[dependency].status = {"state": state, "reason": "Out of luck."}
        await bundle.monitor.look()
        answer = await client.post(path, json=body)
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) > 0
    assert error_of(answer, path)["code"] == "unavailable"
    assert bundle.llm.asked == []


async def test_malformed_body_is_400_even_while_the_language_model_loads() -> None:
    bundle = Bundle()
    bundle.dependencies["llm"].status = {"state": "starting"}
    async with bundle.client() as client:
        assert (await client.post(OPENAI, content=b"{")).status_code == 400


@pytest.mark.parametrize(
    ("status", "body", "expected", "message"),
    [
        (400, {"error": {"message": "Too long.", "type": "x", "param": None, "code": 400}}, 400, "Too long."),
        (422, {"detail": [{"loc": ["body", "messages"], "msg": "Field required"}]}, 400, "messages: Field required"),
        (500, {"error": {"message": "Secret trace"}}, 500, "The language model failed on this request."),
    ],
)
async def test_errors_of_vllm_arrive_in_openais_shape(
    status: int, body: dict[str, Any], expected: int, message: str
) -> None:
    bundle = Bundle()
    bundle.llm.answer = Answer([json.dumps(body).encode()], status=status)
    async with bundle.client() as client:
        answer = await client.post(OPENAI, json=GOOD[OPENAI])
    assert answer.status_code == expected
    assert error_of(answer, OPENAI)["message"] == message


@pytest.mark.parametrize("path", [OPENAI, "/v1/models", "/v1/models/fake-llm"])
async def test_language_model_that_answers_503_is_503_with_retry_after(path: str) -> None:
    bundle = Bundle()
    bundle.llm.answer = Answer([b"starting"], status=503)
    async with bundle.client() as client:
        answer = await client.post(path, json=GOOD[path]) if path in GOOD else await client.get(path)
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) > 0
    error_of(answer, path)


@pytest.mark.parametrize("answer", [Answer([b"oops"]), Answer([b"{}"]), Answer([b'{"data": 3}'], status=500)])
async def test_unreadable_list_of_models_is_503(answer: Answer) -> None:
    bundle = Bundle()
    bundle.llm.answer = answer
    async with bundle.client() as client:
        found = await client.get("/v1/models/fake-llm")
    assert found.status_code == 503
    error_of(found, "/v1")


@both
async def test_request_id_is_echoed_or_made(path: str) -> None:
    async with Bundle().client() as client:
        given = await client.post(path, json=GOOD[path], headers={"x-request-id": "mine-1"})
        assert given.headers["x-request-id"] == "mine-1"
        failed = await client.post(path, content=b"{", headers={"x-request-id": "mine-2"})
        assert failed.headers["x-request-id"] == "mine-2"
        made = [(await client.post(path, json=GOOD[path])).headers["x-request-id"] for _ in range(3)]
        assert len(set(made)) == 3
        for odd in ("x" * 129, "tab\there", ""):
            answer = await client.post(path, json=GOOD[path], headers={"x-request-id": odd})
            assert answer.headers["x-request-id"] not in {odd, *made}
