from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.errors import (
    DeadlineExceeded,
    InternalError,
    InvalidInput,
    MethodNotAllowed,
    ModelNotFound,
    Overloaded,
    PayloadTooLarge,
    ServingError,
    Unavailable,
)
from services.gateway.openai.errors import error_body, normalised

PATH = "/v1/chat/completions"
FULL = {"message": "No such model.", "type": "NotFoundError", "param": "model", "code": 404}
PYDANTIC = "1 error: [{'type': 'x', 'loc': 'body.messages', 'msg': 'Field required'}]"


@pytest.mark.parametrize(
    ("error", "kind", "code"),
    [
        (InvalidInput("wrong", param="model"), "invalid_request_error", "invalid_input"),
        (PayloadTooLarge("wrong"), "invalid_request_error", "payload_too_large"),
        (ModelNotFound("wrong"), "not_found_error", "model_not_found"),
        (MethodNotAllowed("wrong", allow="POST"), "invalid_request_error", "method_not_allowed"),
        (Overloaded("wrong"), "rate_limit_error", "overloaded"),
        (Unavailable("wrong"), "service_unavailable_error", "unavailable"),
        (DeadlineExceeded("wrong"), "api_error", "deadline_exceeded"),
        (InternalError("wrong"), "api_error", "internal_error"),
    ],
)
def test_every_error_of_ours_in_openais_shape(error: ServingError, kind: str, code: str) -> None:
    body = json.loads(error_body(error, "id"))
    assert body == {"error": {"message": "wrong", "type": kind, "param": error.param, "code": code}}


@pytest.mark.parametrize(
    ("status", "body", "expected_status", "message", "param", "code"),
    [
        (404, {"error": FULL}, 404, "No such model.", "model", "model_not_found"),
        (400, {"error": FULL | {"param": None}}, 400, "No such model.", None, "invalid_input"),
        (400, {"object": "error", "message": "Too long."}, 400, "Too long.", None, "invalid_input"),
        (400, {"error": "Short."}, 400, "Short.", None, "invalid_input"),
        (400, {"error": {"message": PYDANTIC}}, 400, "messages: Field required.", "messages", "invalid_input"),
        (
            404,
            {"detail": "Not Found"},
            404,
            f"The model that is served does not offer {PATH}.",
            None,
            "model_not_found",
        ),
        (
            422,
            {"detail": [{"loc": ["body", "messages", 0], "msg": "is required"}, {"msg": "wrong"}]},
            400,
            "messages.0: is required; wrong",
            None,
            "invalid_input",
        ),
        (422, {"detail": [{"loc": None, "msg": "odd"}]}, 400, "odd", None, "invalid_input"),
        (422, {"detail": [{"loc": 3, "msg": "odd"}]}, 400, "odd", None, "invalid_input"),
        (400, {}, 400, "The request was refused.", None, "invalid_input"),
        (400, [], 400, "The request was refused.", None, "invalid_input"),
        (404, b"Not found", 404, "The request was refused.", None, "model_not_found"),
        (400, b'{"error": "\xff"}', 400, "The request was refused.", None, "invalid_input"),
        (400, b"[" * 100_000, 400, "The request was refused.", None, "invalid_input"),
        (499, {"detail": "gone"}, 499, "gone", None, "invalid_input"),
        (500, b"Traceback: secret", 500, "The language model failed on this request.", None, "internal_error"),
        (500, {"error": FULL}, 500, "The language model failed on this request.", None, "internal_error"),
        (599, b"", 599, "The language model failed on this request.", None, "internal_error"),
    ],
)
def test_every_shape_that_comes_from_the_language_model(
    status: int, body: Any, expected_status: int, message: str, param: str | None, code: str
) -> None:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    found_status, found = normalised(status, data, PATH)
    error = json.loads(found)["error"]
    assert found_status == expected_status
    assert (error["message"], error["param"], error["code"]) == (message, param, code)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "invalid_request_error"),
        (401, "authentication_error"),
        (403, "permission_error"),
        (404, "not_found_error"),
        (422, "invalid_request_error"),
        (429, "rate_limit_error"),
        (500, "api_error"),
        (503, "service_unavailable_error"),
    ],
)
def test_type_goes_with_the_status(status: int, kind: str) -> None:
    assert json.loads(normalised(status, b"{}", PATH)[1])["error"]["type"] == kind


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["error", "detail", "message", "loc", "msg", "type", "param", "code"]), inner)
    ),
    max_leaves=10,
)


@given(st.integers(400, 599), st.binary(max_size=20) | JSON.map(lambda value: json.dumps(value).encode()))
def test_whatever_comes_leaves_in_openais_shape(status: int, body: bytes) -> None:
    _, found = normalised(status, body, PATH)
    error = json.loads(found)["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    assert isinstance(error["message"], str)
    assert isinstance(error["type"], str)
