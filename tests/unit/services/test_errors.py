from __future__ import annotations

import inspect
from http import HTTPStatus

import grpc
import pytest
from bentoml.exceptions import BentoMLException

from services import errors
from services.errors import (
    InvalidInput,
    MethodNotAllowed,
    Overloaded,
    PayloadTooLarge,
    ServingError,
    Unavailable,
    error_for,
)

EVERY = [
    kind
    for name, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, ServingError) and not name.startswith("_")
]


def make(kind: type[ServingError]) -> ServingError:
    return kind("words", allow="GET") if issubclass(kind, MethodNotAllowed) else kind("words")


@pytest.mark.parametrize("kind", EVERY)
def test_every_error_says_all_that_a_protocol_needs(kind: type[ServingError]) -> None:
    error = make(kind)
    assert isinstance(error, BentoMLException), "or BentoML answers 500"
    assert str(error) == error.message == "words"
    assert isinstance(error.error_code, HTTPStatus)
    assert error.error_code >= HTTPStatus.BAD_REQUEST
    assert hasattr(grpc.StatusCode, error.grpc_status)
    assert error.kind == error.kind.lower()
    assert kind.__name__ in str(errors.__doc__)


def test_kinds_are_distinct() -> None:
    leaves = [kind for kind in EVERY if kind is not ServingError]
    assert len({kind.kind for kind in leaves}) == len(leaves)


def test_headers_that_go_with_an_answer() -> None:
    assert Overloaded("full", retry_after=3).headers() == {"retry-after": "3"}
    assert Unavailable("down").headers() == {"retry-after": "1"}
    assert MethodNotAllowed("no", allow="GET").headers() == {"allow": "GET"}
    assert PayloadTooLarge("large").headers() == {}


@pytest.mark.parametrize("status", [400, 404, 413, 429, 500, 503, 504])
def test_status_of_a_dependency_becomes_the_error_of_that_status(status: int) -> None:
    assert error_for(status).error_code == status


@pytest.mark.parametrize("status", [418, 502, 599])
def test_status_that_nobody_knows_is_our_bug(status: int) -> None:
    assert error_for(status).error_code == HTTPStatus.INTERNAL_SERVER_ERROR


def test_what_a_client_sent_comes_back_bounded() -> None:
    error = InvalidInput("x" * 10**6, param="y" * 10**6)
    assert len(error.message) == len(error.param or "") == 1003
    assert len(str(error)) == 1003
