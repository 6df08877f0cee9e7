from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, cast

import msgspec
import numpy as np
import pytest

from services.classifier.routes import ATTRIBUTE_PATH, PREDICT_PATH, Change, Generation
from services.errors import (
    DeadlineExceeded,
    InternalError,
    InvalidInput,
    ModelLoadFailed,
    ModelNotFound,
    Overloaded,
    ServingError,
    Unavailable,
)
from services.frames import decode_frame, encode_frame
from services.gateway.backends import RemoteClassifier, RemoteLLM
from services.telemetry.spans import CLIENT, TraceSpan, make_current
from tests.fakes import attributions_of, make_listing, make_spec, probabilities_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from services.gateway.upstream import Upstream

SPEC = make_spec()
ROW = (60.0, 2.0, 3.0)


class FakeUpstream:
    """Answers every call with what `answer` makes of its body."""

    def __init__(self, answer: Callable[[bytes], tuple[int, bytes]]) -> None:
        self.calls: list[tuple[str, str, float]] = []
        self._answer = answer

    def each(self) -> list[FakeUpstream]:
        return [self]

    async def call(
        self, method: str, path: str, *, body: bytes = b"", headers: Mapping[str, str], timeout: float
    ) -> tuple[int, bytes]:
        self.calls.append((method, path, timeout))
        return self._answer(body)


def classifier(answer: Callable[[bytes], tuple[int, bytes]]) -> tuple[RemoteClassifier, FakeUpstream]:
    upstream = FakeUpstream(answer)
    return RemoteClassifier(cast("Upstream", upstream), timeout=7.0, load_timeout=9.0), upstream


def predicted(body: bytes) -> tuple[int, bytes]:
    header, tensors = decode_frame(body)
    assert (header.model, header.version) == (SPEC.name, SPEC.version)
    answers = np.array([probabilities_of(row) for row in tensors["features"].tolist()], np.float32).reshape(-1, 2)
    return 200, encode_frame(SPEC.name, SPEC.version, {"probabilities": answers})


async def test_payloads_share_one_call_and_get_their_own_rows_back() -> None:
    remote, upstream = classifier(predicted)
    payloads = [[(10.0, 1.0, 1.0)], [], [(20.0, 1.0, 1.0), (30.0, 1.0, 1.0)]]
    answers = await remote.predict(SPEC, payloads)
    assert answers == [[[0.9, 0.1]], [], [[0.8, 0.2], [0.7, 0.3]]]
    assert upstream.calls == [("POST", PREDICT_PATH, 7.0)]


async def test_arrays_come_back_as_arrays_beside_lists() -> None:
    remote, _ = classifier(predicted)
    array = np.array([[10, 1, 1], [20, 1, 1]], np.float32)
    first, second = await remote.predict(SPEC, [array, [(30.0, 1.0, 1.0)]])
    np.testing.assert_allclose(first, [[0.9, 0.1], [0.8, 0.2]], rtol=1e-6)
    assert second == [[0.7, 0.3]]


async def test_attributions() -> None:
    answer = {"probabilities": [0.4, 0.6], "attributions": attributions_of(ROW).model_dump()}
    remote, upstream = classifier(lambda _: (200, json.dumps(answer).encode()))
    assert await remote.attribute(SPEC, ROW) == ([0.4, 0.6], attributions_of(ROW))
    assert upstream.calls == [("POST", ATTRIBUTE_PATH, 7.0)]


@pytest.mark.parametrize(
    "body",
    [
        b"not a frame",
        b"",
        encode_frame("flowers", "v1", {"probabilities": np.zeros((2, 2), np.float32)}),
        encode_frame("flowers", "v1", {"other": np.zeros((1, 2), np.float32)}),
    ],
)
async def test_answer_that_makes_no_sense_is_our_bug_and_not_the_callers(body: bytes) -> None:
    remote, _ = classifier(lambda _: (200, body))
    with pytest.raises(InternalError):
        await remote.predict(SPEC, [[ROW]])


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, InvalidInput),
        (404, ModelNotFound),
        (429, Overloaded),
        (500, InternalError),
        (502, InternalError),
        (503, Unavailable),
        (504, DeadlineExceeded),
    ],
)
async def test_errors_of_the_classifier_keep_their_kind_and_words(status: int, error: type[ServingError]) -> None:
    remote, _ = classifier(lambda _: (status, b'{"error": "words", "param": null}'))
    for asking in (remote.predict(SPEC, [[ROW]]), remote.attribute(SPEC, ROW)):
        with pytest.raises(error, match=r"^words$") as caught:
            await cast("Any", asking)
        assert type(caught.value) is error


@pytest.mark.parametrize("body", [b"", b"Internal Server Error", b"[]", b"{}", b'{"error": "\xff"}', b"[" * 100_000])
async def test_error_without_words(body: bytes) -> None:
    remote, _ = classifier(lambda _: (500, body))
    with pytest.raises(InternalError, match="failed on this request"):
        await remote.predict(SPEC, [[ROW]])


async def test_language_model_is_called_as_json_with_its_own_patience() -> None:
    upstream = FakeUpstream(lambda body: (200, body))
    llm = RemoteLLM(cast("Upstream", upstream), 12.0)
    assert await llm.call("POST", "/v1/chat/completions", b"{}") == (200, b"{}")
    assert upstream.calls == [("POST", "/v1/chat/completions", 12.0)]


async def test_models_are_listed_and_changed_with_a_patience_of_their_own() -> None:
    listing = make_listing(3, SPEC)
    asked: list[bytes] = []

    def answer(body: bytes) -> tuple[int, bytes]:
        asked.append(body)
        return 200, msgspec.json.encode(listing)

    remote, upstream = classifier(answer)
    assert await remote.listing() == listing
    assert await remote.generation() == Generation("run", 3)
    assert await remote.change(Change("flowers", load=True)) == listing
    assert msgspec.json.decode(asked[-1]) == {"name": "flowers", "load": True, "version": ""}
    assert [call[2] for call in upstream.calls] == [7.0, 7.0, 9.0]


async def test_a_load_that_fails_keeps_its_kind() -> None:
    said = msgspec.json.encode({"error": "It is broken.", "code": ModelLoadFailed.kind})
    remote, _ = classifier(lambda _: (400, said))
    with pytest.raises(ModelLoadFailed, match="It is broken"):
        await remote.change(Change("flowers", load=True))
    remote, _ = classifier(lambda _: (200, b"[]"))
    with pytest.raises(InternalError):
        await remote.listing()


@pytest.mark.parametrize(
    ("problem", "kind"),
    [(Unavailable("gone"), "unavailable"), (asyncio.CancelledError(), "CancelledError"), (None, None)],
)
async def test_the_hop_of_a_sampled_batch_is_one_span(problem: BaseException | None, kind: str | None) -> None:
    heard: list[str] = []

    def answer(body: bytes) -> tuple[int, bytes]:
        heard.append(decode_frame(body)[0].traceparent)
        if problem is not None:
            raise problem
        return predicted(body)

    remote, _ = classifier(answer)
    spans: list[TraceSpan] = []
    batch = TraceSpan.first(spans.append, "batch")
    make_current(batch)
    if problem is None:
        await remote.predict(SPEC, [[ROW]])
    else:
        with pytest.raises(type(problem)):
            await remote.predict(SPEC, [[ROW]])
    (hop,) = spans
    assert (hop.name, hop.kind, hop.parent_id) == ("hop", CLIENT, batch.span_id)
    assert heard == [hop.traceparent]
    assert (hop.failed, hop.attributes.get("error.type")) == (problem is not None, kind)
    assert hop.attributes["tandem.model.name"] == SPEC.name
    assert hop.attributes["tandem.bytes"]
