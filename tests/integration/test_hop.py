"""The gateway's way to its dependencies, with real HTTP on Unix sockets and real deaths."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, cast

import pytest
from prometheus_client import CollectorRegistry

from services.classifier.engine_runner import EngineRunner, Executors
from services.classifier.hop import HopApp
from services.errors import ModelNotFound
from services.gateway.address import Address
from services.gateway.backends import RemoteClassifier, RemoteLLM
from services.gateway.upstream import Upstream
from services.telemetry.dependency import EngineMetrics
from tests.asgi import no_fallback
from tests.fakes import LLM_NAME, FakeEngine, chat_events, make_spec, probabilities_of
from tests.gateway import Bundle, listening
from tests.http_server import Request, Server, serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    import httpx

    from services.classifier.registry import Registry
    from services.telemetry.tracing import Tracing

ROW = {"height": 60, "width": 2, "age": 3}
CLASSIFY = {"model": "flowers", "rows": [ROW]}
EXPLAIN = {"model": "flowers", "row": ROW}
CHAT = {"model": LLM_NAME, "messages": []}
REQUEST_TIMEOUT = 0.5
LLM_READY = json.dumps({"state": "ready", "model": LLM_NAME, "models": [LLM_NAME]}).encode()


class Runners:
    """The models of one Classifier worker."""

    def __init__(self) -> None:
        self.executors = Executors.create()
        self._runners = {
            spec.name: EngineRunner(FakeEngine(spec), self.executors)
            for spec in (make_spec(), make_spec("trees", "v7"))
        }

    def runner(self, name: str, version: str = "") -> EngineRunner:
        runner = self._runners.get(name)
        if runner is None:
            raise ModelNotFound(name)
        return runner

    def status(self) -> dict[str, Any]:
        return {"state": "ready", "models": {name: runner.spec.version for name, runner in self._runners.items()}}

    def close(self) -> None:
        self.executors.predict.shutdown()
        self.executors.attribute.shutdown()


async def answer_as_llm(request: Request) -> None:
    """As vLLM would: a streamed or a whole chat."""
    if json.loads(request.body).get("stream"):
        await request.begin("content-type: text/event-stream\r\n")
        for event in chat_events("Because ", "it is tall."):
            await request.chunk(event)
        await request.chunk(b"")
    else:
        body = json.dumps({"choices": [{"message": {"content": "Because it is tall."}}]}).encode()
        await request.answer(body, headers="content-type: application/json\r\n")


async def never(request: Request) -> None:
    await asyncio.Event().wait()


class Wired:
    """A gateway whose dependencies are real upstreams on two sockets, and whose clients are in this process."""

    def __init__(self, folder: Path, tracing: Tracing | None = None, patience: float = REQUEST_TIMEOUT) -> None:
        """`patience` is how long a request may take, in seconds."""
        self.paths = {"classifier": folder / "classifier", "llm": folder / "llm"}
        self.upstreams = {
            name: Upstream(
                name, Address.parse(f"file://{path}"), connect_timeout=patience * 0.6, probe_timeout=patience * 0.4
            )
            for name, path in self.paths.items()
        }
        self.bundle = Bundle(
            classifier=RemoteClassifier(self.upstreams["classifier"], patience, patience),
            llm=RemoteLLM(self.upstreams["llm"], patience),
            dependencies=self.upstreams,
            request_timeout=patience,
            tracing=tracing,
        )

    @asynccontextmanager
    async def client(self) -> AsyncIterator[httpx.AsyncClient]:
        for upstream in self.upstreams.values():
            await upstream.open()
        try:
            async with self.bundle.client() as client:
                yield client
        finally:
            await self.bundle.dataplane.close()
            for upstream in self.upstreams.values():
                await upstream.close()


@asynccontextmanager
async def classifier_at(path: Path, tracing: Tracing | None = None) -> AsyncIterator[None]:
    runners = Runners()
    try:
        async with listening(
            HopApp(cast("Registry", runners), no_fallback, EngineMetrics(CollectorRegistry()), tracing=tracing), path
        ):
            yield
    finally:
        runners.close()


@asynccontextmanager
async def llm_at(path: Path) -> AsyncIterator[Server]:
    async with serving(answer_as_llm, path) as server:
        server.on_probe = lambda request: request.answer(LLM_READY)
        yield server


async def test_everything_answers_over_the_hop(tmp_path: Path) -> None:
    wired = Wired(tmp_path)
    async with classifier_at(wired.paths["classifier"]), llm_at(wired.paths["llm"]), wired.client() as client:
        assert (await client.get("/readyz")).status_code == 200
        answer = (await client.post("/classify", json=CLASSIFY)).json()
        assert answer["predictions"] == [{"label": "large", "probabilities": {"small": 0.4, "large": 0.6}}]
        answer = (await client.post("/explain", json=EXPLAIN)).json()
        assert answer["explanation"] == "Because it is tall."
        assert answer["prediction"]["label"] == "large"
        assert (await client.post("/explain_stream", json=EXPLAIN)).text == "Because it is tall."
        streamed = await client.post("/v1/chat/completions", json=CHAT | {"stream": True})
        assert streamed.content == b"".join(chat_events("Because ", "it is tall."))


async def test_concurrent_rows_share_batches_and_keep_their_answers(tmp_path: Path) -> None:
    wired = Wired(tmp_path)
    async with classifier_at(wired.paths["classifier"]), llm_at(wired.paths["llm"]), wired.client() as client:
        heights = [index / 2 for index in range(200)]
        answers = await asyncio.gather(
            *(client.post("/classify", json={"model": "flowers", "rows": [ROW | {"height": one}]}) for one in heights)
        )
        for height, answer in zip(heights, answers, strict=True):
            large = answer.json()["predictions"][0]["probabilities"]["large"]
            assert large == probabilities_of([height])[1]
        batches = wired.bundle.registry.get_sample_value("tandem_batch_rows_count", {"model": "flowers"})
        assert batches is not None
        assert batches < len(heights) / 2


@asynccontextmanager
async def timed(limit: float) -> AsyncIterator[None]:
    began = time.perf_counter()
    yield
    assert time.perf_counter() - began < limit


async def test_gateway_without_any_dependency_answers_at_once(tmp_path: Path) -> None:
    async with Wired(tmp_path).client() as client, timed(1):
        assert (await client.get("/livez")).status_code == 200
        assert (await client.get("/readyz")).status_code == 503
        assert (await client.get("/health")).json()["ready"] is False
        for path, body in (("/classify", CLASSIFY), ("/explain", EXPLAIN), ("/v1/chat/completions", CHAT)):
            answer = await client.post(path, json=body)
            assert answer.status_code == 503
            assert answer.headers["retry-after"]


@pytest.mark.parametrize("dead", ["classifier", "llm"])
async def test_socket_of_a_dead_worker_hangs_no_request(tmp_path: Path, dead: str) -> None:
    """BentoML's arbiter holds it: connections are accepted, and nothing ever answers."""
    wired = Wired(tmp_path)
    alive: Callable[[Path], AbstractAsyncContextManager[Any]] = llm_at if dead == "classifier" else classifier_at
    other = {"classifier": "llm", "llm": "classifier"}[dead]
    with socket.socket(socket.AF_UNIX) as held:
        held.bind(str(wired.paths[dead]))
        held.listen(64)
        async with alive(wired.paths[other]), wired.client() as client, timed(5):
            async with timed(1):
                ready = (await client.get("/readyz")).json()
            assert ready["dependencies"][dead]["state"] == "starting"
            assert ready["dependencies"][other]["state"] == "ready"
            if dead == "classifier":
                assert (await client.post("/classify", json=CLASSIFY)).status_code == 503
                assert (await client.post("/v1/chat/completions", json=CHAT)).status_code == 200
            else:
                assert (await client.post("/v1/chat/completions", json=CHAT)).status_code == 503
                answer = (await client.post("/explain", json=EXPLAIN)).json()
                assert answer["prediction"]["label"] == "large"
                assert answer["explanation"] is None
                assert answer["reason"]


async def test_dependency_that_freezes_costs_a_deadline_and_comes_back(tmp_path: Path) -> None:
    wired = Wired(tmp_path)
    async with (
        classifier_at(wired.paths["classifier"]),
        llm_at(wired.paths["llm"]) as llm,
        wired.client() as client,
        timed(10),
    ):
        assert (await client.post("/v1/chat/completions", json=CHAT)).status_code == 200
        llm.on_request = llm.on_probe = never
        assert (await client.post("/v1/chat/completions", json=CHAT)).status_code == 504
        explained = (await client.post("/explain", json=EXPLAIN)).json()
        assert explained["explanation"] is None
        for _ in range(3):
            async with timed(1):
                assert (await client.get("/readyz")).status_code == 503
        assert (await client.post("/v1/chat/completions", json=CHAT)).status_code == 503
        llm.on_request = answer_as_llm
        llm.on_probe = lambda request: request.answer(LLM_READY)
        assert (await client.get("/readyz")).status_code == 200
        assert (await client.post("/v1/chat/completions", json=CHAT)).status_code == 200


async def test_classifier_that_dies_and_returns(tmp_path: Path) -> None:
    wired = Wired(tmp_path)
    async with llm_at(wired.paths["llm"]), wired.client() as client, timed(10):
        for _ in range(2):
            async with classifier_at(wired.paths["classifier"]):
                assert (await client.get("/readyz")).status_code == 200
                assert (await client.post("/classify", json=CLASSIFY)).status_code == 200
            wired.paths["classifier"].unlink(missing_ok=True)
            answers = await asyncio.gather(*(client.post("/classify", json=CLASSIFY) for _ in range(20)))
            assert {answer.status_code for answer in answers} == {503}
            assert (await client.get("/readyz")).json()["dependencies"]["classifier"]["state"] == "down"


async def test_idle_connections_that_the_server_closes_lose_no_request(tmp_path: Path) -> None:
    """The server gives every connection up right after its answer, as uvicorn does when it was idle for long enough."""

    async def answer_and_hang_up(request: Request) -> None:
        await answer_as_llm(request)
        request.hang_up()

    wired = Wired(tmp_path)
    async with classifier_at(wired.paths["classifier"]), llm_at(wired.paths["llm"]) as llm, wired.client() as client:
        llm.on_request = answer_and_hang_up
        for stream in (False, True) * 20:
            answer = await client.post("/v1/chat/completions", json=CHAT | {"stream": stream})
            assert answer.status_code == 200
            assert b"error" not in answer.content


@pytest.mark.parametrize(("hangs_up", "code"), [(True, "unavailable"), (False, "deadline_exceeded")])
async def test_stream_that_stops_half_way_ends_with_an_error_event(tmp_path: Path, hangs_up: bool, code: str) -> None:
    async def half(request: Request) -> None:
        await request.begin("content-type: text/event-stream\r\n")
        await request.chunk(chat_events("Because ")[0])
        if hangs_up:
            request.hang_up()

    wired = Wired(tmp_path)
    async with classifier_at(wired.paths["classifier"]), llm_at(wired.paths["llm"]) as llm, wired.client() as client:
        llm.on_request = half
        answer = await client.post("/v1/chat/completions", json=CHAT | {"stream": True})
        assert answer.status_code == 200
        assert answer.content.startswith(chat_events("Because ")[0])
        last = answer.content.removesuffix(b"\n\n").rpartition(b"\n\n")[2]
        assert json.loads(last.removeprefix(b"data: "))["error"]["code"] == code


@pytest.mark.parametrize(("hangs_up", "status"), [(True, 503), (False, 504)])
async def test_whole_answer_that_stops_half_way_is_an_error(tmp_path: Path, hangs_up: bool, status: int) -> None:
    async def half(request: Request) -> None:
        await request.begin("content-type: application/json\r\n")
        await request.chunk(b'{"id": ')
        if hangs_up:
            request.hang_up()

    wired = Wired(tmp_path)
    async with classifier_at(wired.paths["classifier"]), llm_at(wired.paths["llm"]) as llm, wired.client() as client:
        llm.on_request = half
        assert (await client.post("/v1/chat/completions", json=CHAT)).status_code == status
        explained = (await client.post("/explain", json=EXPLAIN)).json()
        assert explained["explanation"] is None
        assert explained["reason"]
        assert (await client.post("/explain_stream", json=EXPLAIN)).status_code == status
