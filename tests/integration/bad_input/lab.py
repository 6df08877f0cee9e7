"""A gateway that the examples of a test share, good requests for it, and what every answer must be."""

from __future__ import annotations

import asyncio
import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import httpx

from tests.fake_llm import LLM_NAME
from tests.fakes import probabilities_of
from tests.stage import FLOWERS, Stage, tensor_spec

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator

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
