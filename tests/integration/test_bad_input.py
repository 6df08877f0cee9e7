"""Whatever is sent, by any protocol: an answer in that protocol's shape, nobody else disturbed, and nothing left behind."""

from __future__ import annotations

import asyncio
import gc
import json
import tracemalloc
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

import grpc
import httpx
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tritonclient.grpc import service_pb2 as pb
from tritonclient.grpc import service_pb2_grpc as stubs

from services.tensors import DTYPES
from tests.fakes import LLM_NAME, StoringClassifier, probabilities_of
from tests.keys import control_over
from tests.stage import FLOWERS, Stage, tensor_spec

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

DOUBLER = tensor_spec("doubler", ("x", "FP32", (-1, 2)))
WORDS = tensor_spec("words", ("w", "BYTES", (-1,)))
SPECS = (FLOWERS, DOUBLER, WORDS)
MAX_BODY = 2**17
REFUSALS = {400, 404, 413, 501}
ROW = {"height": 60, "width": 2, "age": 3}
FEATURES = {"name": "features", "datatype": "FP32", "shape": [1, 3], "data": [60, 2, 3]}
GOOD: dict[str, Any] = {
    "/classify": {"model": "flowers", "rows": [ROW, ROW]},
    "/explain": {"model": "flowers", "row": ROW},
    "/explain_stream": {"model": "flowers", "row": ROW, "version": "v1"},
    "/v1/chat/completions": {
        "model": LLM_NAME,
        "messages": [{"role": "user", "content": "Why?"}],
        "max_tokens": 10,
        "stream": True,
        "stream_options": {"include_usage": False},
    },
    "/v1/completions": {"model": LLM_NAME, "prompt": ["a", "b"], "n": 2, "max_tokens": 10},
    "/v1/responses": {"model": LLM_NAME, "input": [{"role": "user", "content": "Why?"}], "max_output_tokens": 5},
    "/v1/embeddings": {"model": LLM_NAME, "input": "a"},
    "/tokenize": {"prompt": "a"},
    "/v2/models/flowers/infer": {
        "id": "1",
        "inputs": [FEATURES],
        "outputs": [{"name": "label", "parameters": {"binary_data": True}}],
        "parameters": {"binary_data_output": False},
    },
    "/v2/models/doubler/infer": {"inputs": [{**FEATURES, "name": "x", "shape": [1, 2], "data": [[1.5, -2]]}]},
    "/v2/models/words/infer": {"inputs": [{"name": "w", "datatype": "BYTES", "shape": [2], "data": ["a", "\u00e4"]}]},
    "/v2/repository/index": {"ready": True},
}


def examples(count: int) -> settings:
    """The same `count` examples in each run."""
    return settings(
        max_examples=count, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )


NASTY = st.sampled_from(
    [
        *(
            b"NaN",
            b"Infinity",
            b"-Infinity",
            b"1e999",
            b"-1e999",
            b"1e-999",
            b"-0",
            b"-0.0",
            b"9" * 400,
            b"1" + b"0" * 5000,
        ),
        *(
            b"0.1" + b"1" * 5000,
            b"1E400",
            b"01",
            b".5",
            b"5.",
            b"+1",
            b"0x10",
            b"9223372036854775808",
            b"18446744073709551616",
        ),
        *(
            b"[" * 5000,
            b"[" * 2000 + b"]" * 2000,
            b'{"a":' * 2000 + b"1" + b"}" * 2000,
            b"true",
            b"null",
            b"''",
            b"undefined",
        ),
        *(
            b'"\xff"',
            b'"\\ud800"',
            b'"\\ud800\\u0000"',
            b'"\\x"',
            b'"a\x00b"',
            b'"a\nb"',
            b'"\xed\xa0\x80"',
            b'"\xf5\x80"',
            b'"',
        ),
        *(
            b"\xef\xbb\xbf",
            b"\xff\xfe",
            b"/**/",
            b",",
            b"{}",
            b"[]",
            b"{",
            b"}",
            b'{"a":1,"a":2}',
            b'"' + b"x" * 40_000 + b'"',
        ),
        *(b'"model":"flowers",', b'"rows":[],', b'"__proto__":1,', b'"":0,', b'{"' + b"k" * 9000 + b'":1}'),
    ]
)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=8,
)


@st.composite
def bent(draw: st.DrawFn, good: Any) -> Any:
    """`good` with one of its values, at any depth, replaced, dropped or doubled."""
    if isinstance(good, dict) and good and draw(st.integers(0, 4)):
        name = draw(st.sampled_from(sorted(good)))
        rest = {key: value for key, value in good.items() if key != name}
        if not draw(st.integers(0, 5)):
            return rest if draw(st.booleans()) else {**good, draw(st.text(max_size=6)): draw(ANYTHING)}
        return {**rest, name: draw(bent(good[name]))}
    if isinstance(good, list) and good and draw(st.integers(0, 4)):
        at = draw(st.integers(0, len(good) - 1))
        many = draw(st.sampled_from([1, 1, 1, 0, 2, 300]))
        return [*good[:at], *[draw(bent(good[at]))] * many, *good[at + 1 :]]
    return draw(ANYTHING)


@st.composite
def bodies(draw: st.DrawFn, good: Any) -> bytes:
    """A body that is bent as JSON, broken as text, both or neither."""
    body = json.dumps(draw(st.just(good) | bent(good)), ensure_ascii=draw(st.booleans())).encode(
        "utf-8", "surrogatepass"
    )
    for _ in range(draw(st.integers(0, 2))):
        start = draw(st.integers(0, len(body)))
        end = draw(st.sampled_from([start, start + 1, start + 5, len(body)]))
        body = body[:start] + draw(NASTY | st.binary(max_size=6)) + body[end:]
    return body


class Lab:
    """A gateway on a loop of its own, which every example of a test shares."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.runner = asyncio.Runner()
        self._client = httpx.AsyncClient(transport=httpx.ASGITransport(stage.app), base_url="http://gateway")
        self.run(stage.monitor.look())

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """What `work` returns; an error when that takes long."""

        async def within() -> Any:
            async with asyncio.timeout(30):
                return await work

        return self.runner.run(within())

    async def post(self, path: str, body: bytes, headers: dict[str, str] | None = None) -> httpx.Response:
        return await self._client.post(path, content=body, headers=headers)

    async def with_neighbours(self, path: str, body: bytes, headers: dict[str, str] | None = None) -> httpx.Response:
        """The answer to `body`, sent between two good requests for the same model, which must not notice."""
        (before, heard, after) = await asyncio.gather(
            self._client.post("/classify", json={"model": "flowers", "rows": [{**ROW, "height": 7}]}),
            self.post(path, body, headers),
            self._client.post("/classify", json={"model": "flowers", "rows": [{**ROW, "height": 93}]}),
        )
        for answer, height in ((before, 7), (after, 93)):
            assert answer.status_code == 200
            probabilities = answer.json()["predictions"][0]["probabilities"]
            assert list(probabilities.values()) == probabilities_of([height])
        return heard

    def close(self) -> None:
        async def finish() -> None:
            await self._client.aclose()
            await self.stage.dataplane.close()

        self.run(finish())
        self.runner.close()


@contextmanager
def at_rest(lab: Lab) -> Iterator[None]:
    """Nothing that the requests made is left when they are over: no task, no row that waits, no request that counts."""
    yield
    lab.run(asyncio.sleep(0.1))

    async def tasks() -> int:
        return len(asyncio.all_tasks()) - 1

    assert lab.run(tasks()) <= 1  # the one that waits for `tasks`
    assert lab.stage.telemetry.active == 0
    for lane in lab.stage.dataplane._lanes._lanes.values():
        assert (lane.batcher.queued_rows, lane.batcher.in_flight) == (0, 0)


@pytest.fixture(scope="module", params=["open", "limited"])
def lab(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """With limits, bodies are read for their tokens, and streams are asked for their usage."""
    control = None
    if request.param == "limited":
        most = {"requests_per_minute": 10**9, "tokens_per_minute": 10**15, "concurrent_requests": 1000}
        control, _ = control_over(tmp_path_factory.mktemp("keys"), caller=most)
    stage = Stage(SPECS, control=control, classifier=StoringClassifier(*SPECS), max_rows=200, max_body_bytes=MAX_BODY)
    lab = Lab(stage)
    yield lab
    lab.close()


def check(path: str, answer: httpx.Response) -> None:
    """`answer` is what its protocol says."""
    assert answer.status_code in {200, *REFUSALS, 429}, answer.text
    assert answer.headers["x-request-id"]
    if answer.headers["content-type"] != "application/json":
        assert answer.status_code == 200
        return
    said = strict(answer.content)
    if answer.status_code != 200:
        keys = {"v1": {"error"}, "v2": {"error"}}.get(path.split("/")[1], {"error", "code", "param", "request_id"})
        assert said.keys() == ({"error"} if path == "/tokenize" else keys)
        assert len(answer.content) < MAX_BODY


def strict(body: bytes) -> Any:
    """The JSON in `body`, which has no NaN, no Infinity and nothing but UTF-8."""

    def refuse(literal: str) -> None:
        raise AssertionError(f"{literal} in JSON")

    return json.loads(body.decode(), parse_constant=refuse)


@pytest.mark.parametrize("path", GOOD)
def test_json_bodies(lab: Lab, path: str) -> None:
    @examples(40)
    @given(body=bodies(GOOD[path]))
    def ask(body: bytes) -> None:
        lab.stage.llm.asked.clear()
        check(path, lab.run(lab.with_neighbours(path, body)))
        for asked in lab.stage.llm.asked:
            sent = strict(asked.body)  # what is no JSON has gone no further than here
            assert asked.path.startswith("/v1/chat") or sent == strict(body)

    with at_rest(lab):
        ask()


SIZES = st.sampled_from([-1, 0, 1, 2, 3, 4, 2**31, 2**32 - 1, 2**62, 2**63 - 1, 2**63, 10**30])
DATATYPES = st.sampled_from([*DTYPES, "", "fp32", "STRING"])


@st.composite
def binary_requests(draw: st.DrawFn) -> tuple[bytes, dict[str, str]]:
    """A v2 body with tensors behind its JSON, whose sizes may say anything."""
    inputs = []
    for _ in range(draw(st.integers(0, 3))):
        one: dict[str, Any] = {
            "name": draw(st.sampled_from(["features", "x", ""])),
            "datatype": draw(st.just("FP32") | DATATYPES),
            "shape": draw(st.sampled_from([[1, 3], [2, 3], [1, 2], []]) | st.lists(SIZES, max_size=40)),
        }
        if draw(st.integers(0, 4)):
            one["parameters"] = {"binary_data_size": draw(st.sampled_from([12, 24, 8, 4, True, "12", 12.0]) | SIZES)}
        if not draw(st.integers(0, 4)):
            one["data"] = draw(ANYTHING)
        inputs.append(one)
    head = json.dumps({"inputs": inputs, "parameters": {"binary_data_output": draw(st.booleans())}}).encode()
    tail = draw(st.sampled_from([np.array([60, 2, 3], "<f4").tobytes(), b""]) | st.binary(max_size=40))
    length = draw(st.just(str(len(head))) | SIZES.map(str) | st.sampled_from(["", "x", "1_0", "0x1", "9" * 5000]))
    headers = {"inference-header-content-length": length}
    if not draw(st.integers(0, 5)):
        headers["content-encoding"] = draw(st.sampled_from(["gzip", "deflate", "br", "identity", "gzip, gzip", ""]))
    return head + tail, headers


@pytest.mark.parametrize("model", ["flowers", "doubler"])
def test_binary_bodies(lab: Lab, model: str) -> None:
    path = f"/v2/models/{model}/infer"

    @examples(60)
    @given(sent=binary_requests())
    def ask(sent: tuple[bytes, dict[str, str]]) -> None:
        check(path, lab.run(lab.with_neighbours(path, *sent)))

    with at_rest(lab):
        ask()


MESSAGE = pb.ModelInferRequest.DESCRIPTOR


@st.composite
def grpc_requests(draw: st.DrawFn) -> bytes:
    """A message for `ModelInfer`: well formed with any contents, or broken."""
    request = pb.ModelInferRequest(model_name=draw(st.sampled_from(["doubler", "flowers", "doubler", "", "../x"])))
    for _ in range(draw(st.integers(0, 2))):
        given_ = request.inputs.add(name=draw(st.sampled_from(["x", "features", "y"])))
        given_.datatype = draw(st.just("FP32") | DATATYPES)
        sizes = [
            size
            for size in draw(st.sampled_from([[1, 2], [1, 3]]) | st.lists(SIZES, max_size=40))
            if -(2**63) <= size < 2**63
        ]
        given_.shape.extend(sizes)
        if draw(st.booleans()):
            given_.contents.fp32_contents.extend(draw(st.lists(st.floats(width=32), max_size=6)))
        if not draw(st.integers(0, 3)):
            given_.contents.bytes_contents.extend(draw(st.lists(st.binary(max_size=3), max_size=3)))
            given_.contents.int_contents.extend(draw(st.lists(st.integers(-(2**31), 2**31 - 1), max_size=3)))
        if not draw(st.integers(0, 5)):
            given_.parameters[
                draw(st.sampled_from(["classification", "shared_memory_region", "other"]))
            ].int64_param = 1
    for _ in range(draw(st.integers(0, 2))):
        request.raw_input_contents.append(draw(st.binary(max_size=16)))
    if not draw(st.integers(0, 4)):
        request.outputs.add(name=draw(st.sampled_from(["x_doubled", "label", ""])))
    data: bytes = request.SerializeToString()
    if not draw(st.integers(0, 3)):
        at = draw(st.integers(0, len(data)))
        data = data[:at] + draw(st.binary(max_size=4)) + data[at + draw(st.integers(0, 3)) :]
    return data


def test_grpc_messages() -> None:
    """Alone and between two good ones in a stream."""
    stage = Stage((FLOWERS, DOUBLER), max_body_bytes=MAX_BODY)
    good = pb.ModelInferRequest(model_name="doubler", id="good")
    good.inputs.add(name="x", datatype="FP32", shape=[1, 2]).contents.fp32_contents.extend([1.5, -2])
    refusals = {"INVALID_ARGUMENT", "NOT_FOUND", "UNIMPLEMENTED", "RESOURCE_EXHAUSTED"}

    async def alone(channel: grpc.aio.Channel, data: bytes) -> None:
        call: Any = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
        try:
            pb.ModelInferResponse.FromString(await call(data, timeout=20))
        except grpc.aio.AioRpcError as error:
            assert error.code().name in refusals, error  # noqa: PT017 - or there is none

    async def in_stream(channel: grpc.aio.Channel, data: bytes) -> None:
        stream = stubs.GRPCInferenceServiceStub(channel).ModelStreamInfer(
            iter((good, pb.ModelInferRequest.FromString(data), good)), timeout=20
        )
        answers = [answer async for answer in stream]
        assert len(answers) == 3
        for answer in (answers[0], answers[2]):
            assert list(answer.infer_response.outputs[0].contents.fp32_contents) == [3, -4]

    async def all_of_them() -> None:
        async with stage.channel() as channel, asyncio.timeout(120):
            for data in messages():
                await alone(channel, data)
                try:
                    pb.ModelInferRequest.FromString(data)
                except Exception:  # noqa: BLE001 - ends its stream, which another test shows
                    continue
                await in_stream(channel, data)

    asyncio.run(all_of_them())
    assert stage.telemetry.active == 0


@cache
def messages() -> tuple[bytes, ...]:
    """Messages made beforehand, for hypothesis knows no event loops."""
    made: list[bytes] = []

    @examples(100)
    @given(data=grpc_requests())
    def keep(data: bytes) -> None:
        made.append(data)

    keep()
    return tuple(made)


FLOATS = st.lists(st.tuples(*[st.floats(-(2.0**126), 2.0**126, width=32)] * 2), min_size=1, max_size=5)


def test_every_way_of_writing_a_tensor_says_the_same(lab: Lab) -> None:
    path = "/v2/models/doubler/infer"

    @examples(40)
    @given(rows=FLOATS)
    def ask(rows: list[tuple[float, float]]) -> None:
        array = np.array(rows, np.float32)
        described = {"name": "x", "datatype": "FP32", "shape": list(array.shape)}
        head = json.dumps({"inputs": [{**described, "parameters": {"binary_data_size": array.nbytes}}]}).encode()
        ways: list[tuple[bytes, dict[str, str]]] = [
            (json.dumps({"inputs": [{**described, "data": array.tolist()}]}).encode(), {}),
            (json.dumps({"inputs": [{**described, "data": array.ravel().tolist()}]}).encode(), {}),
            (head + array.tobytes(), {"inference-header-content-length": str(len(head))}),
        ]
        for body, headers in ways:
            answer = lab.run(lab.post(path, body, headers))
            given_back = np.array(answer.json()["outputs"][0]["data"], np.float32).reshape(array.shape)
            np.testing.assert_array_equal(given_back, array * 2)

    ask()


HEAVY: dict[str, Callable[[], bytes]] = {
    "nesting": lambda: b'{"model":"flowers","rows":' + b"[" * 60_000,
    "closed nesting": lambda: b'{"model":"flowers","rows":' + b"[" * 60_000 + b"]" * 60_000 + b"}",
    "objects": lambda: b'{"model":"flowers","rows":' + b'{"a":' * 20_000 + b"1" + b"}" * 20_001,
    "many rows": lambda: b'{"model":"flowers","rows":[' + b",".join([b"{}"] * 40_000) + b"]}",
    "many keys": lambda: json.dumps({"model": "flowers", **{f"k{number}": 1 for number in range(10_000)}}).encode(),
    "one key many times": lambda: b'{"model":"flowers"' + b',"rows":[]' * 10_000 + b"}",
    "long number": lambda: b'{"model":"flowers","rows":[{"height":' + b"9" * 120_000 + b"}]}",
    "long fraction": lambda: b'{"model":"flowers","rows":[{"height":0.' + b"1" * 120_000 + b"}]}",
    "long exponent": lambda: b'{"model":"flowers","rows":[{"height":1e' + b"9" * 120_000 + b"}]}",
    "NaN far inside": lambda: b'{"model":"flowers","rows":' + b"[" * 900 + b"NaN" + b"]" * 900 + b"}",
    "long name": lambda: b'{"model":"' + b"x" * 120_000 + b'"}',
    "escapes": lambda: b'{"model":"' + b"\\u0041" * 20_000 + b'"}',
    "surrogates": lambda: b'{"model":"' + b"\\ud800" * 20_000 + b'"}',
    "huge shape": lambda: json.dumps({"inputs": [{**FEATURES, "shape": [2**62, 2**62]}]}).encode(),
    "dimensions": lambda: json.dumps({"inputs": [{**FEATURES, "shape": [1] * 40_000}]}).encode(),
    "huge dimensions": lambda: json.dumps({"inputs": [{**FEATURES, "shape": [2**60] * 5_000}]}).encode(),
    "many inputs": lambda: json.dumps(
        {"inputs": [{**FEATURES, "name": str(number)} for number in range(1_200)]}
    ).encode(),
    "nested data": lambda: b'{"inputs":[{"name":"features","datatype":"FP32","shape":[1,3],"data":' + b"[" * 60_000,
    "nested parameters": lambda: b'{"inputs":[],"parameters":' + b'{"a":' * 20_000 + b"1" + b"}" * 20_001,
    "many outputs": lambda: json.dumps({"inputs": [FEATURES], "outputs": [{"name": "label"}] * 5_000}).encode(),
    "many messages": lambda: json.dumps({"model": LLM_NAME, "messages": [{}] * 20_000}).encode(),
    "prompts": lambda: json.dumps({"model": LLM_NAME, "prompt": [""] * 20_000, "n": 10**18, "best_of": 1e308}).encode(),
}


@pytest.mark.parametrize("name", HEAVY)
def test_heavy_bodies_cost_little(lab: Lab, name: str) -> None:
    """Each is refused, or judged by vLLM, and what reading it took is given back and no multiple of its size."""
    body = HEAVY[name]()
    assert len(body) <= MAX_BODY
    for path in GOOD:
        tracemalloc.start()
        answer = lab.run(lab.post(path, body))
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        check(path, answer)
        assert path.startswith(("/v1", "/tok")) or answer.status_code in {200, *REFUSALS}
        assert peak < 60 * MAX_BODY, path
        assert len(answer.content) < 2 * MAX_BODY


def test_thousands_of_bad_requests_leave_nothing(lab: Lab) -> None:
    body = json.dumps({"model": "flowers", "rows": [{"height": "x" * 1000}]}).encode()

    async def many(count: int) -> None:
        for number in range(count):
            path = ("/classify", "/v1/chat/completions", f"/v2/models/{number}/infer", f"/{number}")[number % 4]
            assert (await lab.post(path, body)).status_code in REFUSALS

    lab.run(many(100))
    gc.collect()
    tracemalloc.start()
    lab.run(many(800))
    gc.collect()
    left, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert left < 200_000
