"""The gateway and what it reaches over a network: a token on every request, several Classifiers behind one name."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from prometheus_client import CollectorRegistry

from models import store
from models.engines import linear
from services.classifier.engine_runner import EngineRunner, Executors
from services.classifier.hop import HopApp, send_error
from services.classifier.registry import Registry
from services.classifier.serving_state import ServingState
from services.gateway.address import Address
from services.gateway.backends import RemoteClassifier, RemoteLLM
from services.gateway.replicas import Replicas
from services.gateway.upstream import Upstream
from services.guard import Guard
from services.telemetry.dependency import EngineMetrics
from tests.asgi import no_fallback
from tests.fake_llm import LLM_NAME
from tests.fakes import make_spec
from tests.gateway import Bundle, listening_on
from tests.http_server import Name, Request, serving_tcp
from tests.stage import Stage

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    import httpx

    from models.spec import ModelSpec

TOKEN = "t" * 32
ROWS = {"model": "toy", "rows": [{"height": 3, "width": 1, "age": 2}]}
PATIENCE = 20.0


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BENTOML_HOME", str(tmp_path))
    return tmp_path


def put(month: int, *, broken: bool = False) -> ModelSpec:
    """Store a version of the model `toy`."""
    spec = make_spec("toy").model_copy(
        update={"engine": "linear", "trained_at": make_spec().trained_at.replace(month=month)}
    )

    def write(folder: Path) -> None:
        linear.write(folder, np.array([[0, 0, 0], [month, 0, 0]], float), np.zeros(2), np.zeros(3))
        if broken:
            (folder / linear.WEIGHTS_FILE).write_text("{}")

    return store.save(spec, write)


class Elsewhere:
    """Classifiers on ports of their own, each a run of its own, as pods are."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._executors = Executors.create()
        self._runs = 0

    @asynccontextmanager
    async def classifier(self, port: int = 0, pinned: dict[str, str] | None = None) -> AsyncIterator[int]:
        self._runs += 1
        registry = Registry(
            ServingState(self._home / f"run-{self._runs}"),
            lambda engine: EngineRunner(engine, self._executors),
            pinned=pinned or {},
            threads=1,
            keep_seconds=60,
            patience=10,
        )
        registry.start()
        try:
            async with listening_on(
                Guard(HopApp(registry, no_fallback, EngineMetrics(CollectorRegistry())), [TOKEN], send_error), port
            ) as own:
                yield own
        finally:
            await registry.stop()


async def answer_as_llm(request: Request) -> None:
    assert request.headers["authorization"] == f"Bearer {TOKEN}"
    body = json.dumps({"choices": [{"message": {"content": "Because it is tall."}}]}).encode()
    await request.answer(body, headers="content-type: application/json\r\n")


@asynccontextmanager
async def gateway(classifiers: Name, token: str = TOKEN) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a gateway that reaches the Classifiers at `classifiers` and an LLM."""
    async with AsyncExitStack() as stack:
        llm, port = await stack.enter_async_context(serving_tcp(answer_as_llm))
        ready = json.dumps({"state": "ready", "model": LLM_NAME, "models": [LLM_NAME]}).encode()
        llm.on_probe = lambda request: request.answer(ready)
        upstreams = {"classifier": reached("Classifier", classifiers, token), "llm": reached("LLM", Name(port), token)}
        bundle = Bundle(
            classifier=RemoteClassifier(upstreams["classifier"], PATIENCE, PATIENCE),
            llm=RemoteLLM(upstreams["llm"], PATIENCE),
            dependencies=upstreams,
        )
        for upstream in upstreams.values():
            await upstream.open()
            stack.push_async_callback(upstream.close)
        stack.push_async_callback(bundle.dataplane.close)
        bundle.monitor.start()
        stack.push_async_callback(bundle.monitor.stop)
        bundle.dataplane.catalogue.start()
        yield await stack.enter_async_context(bundle.client())


def reached(what: str, name: Name, token: str) -> Replicas:
    def make(port: str) -> Upstream:
        address = Address.parse(f"http://127.0.0.1:{port}", token)
        return Upstream(what, address, connect_timeout=1, probe_timeout=0.8)

    return Replicas(what, make, name.resolve, 0.05, differ=what == "Classifier")


async def until(client: httpx.AsyncClient, **expected: Any) -> None:
    """Wait until `/classify` answers with these fields."""
    async with asyncio.timeout(PATIENCE):
        while True:
            answer = (await client.post("/classify", json=ROWS)).json()
            if all(answer.get(name) == value for name, value in expected.items()):
                return
            await asyncio.sleep(0.02)


async def index(client: httpx.AsyncClient) -> dict[str, str]:
    listed = (await client.post("/v2/repository/index", json={})).json()
    return {one["version"]: one["state"] for one in listed}


async def test_predictions_and_explanations_cross_a_network(home: Path) -> None:
    spec = put(1)
    async with Elsewhere(home).classifier() as port, gateway(Name(port)) as client:
        await until(client, version=spec.version)
        assert (await client.get("/readyz")).status_code == 200
        answer = await client.post("/explain", json={"model": "toy", "row": ROWS["rows"][0]})
        assert answer.json()["explanation"] == "Because it is tall."
        many = await asyncio.gather(*(client.post("/classify", json=ROWS) for _ in range(50)))
        assert {one.status_code for one in many} == {200}


async def test_a_wrong_token_is_a_503_that_the_operator_can_read(home: Path) -> None:
    put(1)
    async with Elsewhere(home).classifier() as port, gateway(Name(port), "w" * 32) as client:
        ready = await client.get("/readyz")
        assert ready.status_code == 503
        assert "TANDEM_HOP__TOKEN" in ready.json()["dependencies"]["classifier"]["reason"]
        answer = await client.post("/classify", json={**ROWS, "model": "flowers", "version": None})
        assert answer.status_code == 503
        assert "token" not in answer.json()["error"].lower()


async def test_one_of_two_classifiers_dies_and_comes_back(home: Path) -> None:
    put(1)
    elsewhere = Elsewhere(home)
    async with elsewhere.classifier() as second:
        pass
    async with elsewhere.classifier() as first, gateway(Name(first, second)) as client:
        await until(client, model="toy")
        for _ in range(2):
            async with elsewhere.classifier(second):
                await until(client, model="toy")
                good = await asyncio.gather(*(client.post("/classify", json=ROWS) for _ in range(20)))
                assert {one.status_code for one in good} == {200}
            # Nothing is under way when it dies, so nothing is lost.
            good = [await client.post("/classify", json=ROWS) for _ in range(20)]
            assert {one.status_code for one in good} == {200}
            assert (await client.get("/readyz")).status_code == 200


async def test_a_classifier_that_restarts_serves_what_the_store_says_and_the_gateway_agrees(home: Path) -> None:
    old = put(1)
    elsewhere = Elsewhere(home)
    async with AsyncExitStack() as stack:
        async with elsewhere.classifier() as port:
            client = await stack.enter_async_context(gateway(Name(port)))
            await until(client, version=old.version)
            new = put(2)
            assert (await client.post("/v2/repository/models/toy/load")).status_code == 200
            await until(client, version=new.version)
            assert (await client.post("/v2/repository/models/toy/unload")).status_code == 200
            assert (await client.post("/classify", json=ROWS)).status_code == 404
        answer = await client.post("/v2/repository/models/toy/load")
        assert answer.status_code == 503
        assert "Classifier" in answer.json()["error"]
        async with elsewhere.classifier(port, {"toy": old.version}):
            await until(client, version=old.version)


async def test_a_change_is_made_by_every_classifier(home: Path) -> None:
    old = put(1)
    elsewhere = Elsewhere(home)
    async with (
        elsewhere.classifier() as first,
        elsewhere.classifier() as second,
        gateway(Name(first, second)) as client,
        gateway(Name(first)) as to_first,
        gateway(Name(second)) as to_second,
    ):
        everybody = (client, to_first, to_second)
        for one in everybody:
            await until(one, version=old.version)
        new = put(2)
        assert await index(client) == {old.version: "READY", new.version: "UNAVAILABLE"}
        assert (await client.post("/v2/repository/models/toy/load")).status_code == 200
        for one in everybody:
            await until(one, version=new.version)
        broken = put(3, broken=True)
        answer = await client.post("/v2/repository/models/toy/load")
        assert answer.status_code == 400
        assert (await index(client))[broken.version] == "UNAVAILABLE"
        await until(client, version=new.version)
        assert (await client.post("/v2/repository/models/toy/unload")).status_code == 200
        for one in everybody:
            await until(one, code="model_not_found")


async def test_during_a_rolling_update_what_either_has_is_served(home: Path) -> None:
    old, new = put(1), put(2)
    elsewhere = Elsewhere(home)
    async with elsewhere.classifier(pinned={"toy": old.version}) as before:
        name = Name(before)
        async with gateway(name) as client:
            await until(client, version=old.version)
            async with elsewhere.classifier() as after:
                name.ports.append(after)
                await until(client, version=new.version)
                for version in (old.version, new.version) * 6:
                    answer = await client.post("/classify", json={**ROWS, "version": version})
                    assert (answer.status_code, answer.json()["version"]) == (200, version)


async def test_each_replica_gets_its_part_of_the_batches() -> None:
    stage = Stage()
    row = {"height": 3, "width": 1, "age": 2}
    async with stage.client() as client:
        for replicas in (1, 4):
            stage.classifier.told(replicas)
            stage.classifier.gate.clear()
            before = len(stage.classifier.batches)
            asked = []
            for _ in range(12):
                asked.append(asyncio.ensure_future(client.post("/classify", json={"model": "flowers", "rows": [row]})))
                await asyncio.sleep(0.01)
            assert len(stage.classifier.batches) - before == 2 * replicas
            stage.classifier.gate.set()
            assert {answer.status_code for answer in await asyncio.gather(*asked)} == {200}


async def test_a_gateway_may_be_ready_while_one_dependency_is() -> None:
    for ready_when, statuses in (("all", (200, 503, 503)), ("any", (200, 200, 503))):
        stage = Stage(ready_when=ready_when)
        async with stage.client() as client, stage.channel() as channel:
            grpc = health_pb2_grpc.HealthStub(channel)
            for status, lost in zip(statuses, ("", "llm", "classifier"), strict=True):
                if lost:
                    await stage.lose(lost)
                answer = await client.get("/readyz")
                assert (answer.status_code, answer.json()["ready"]) == (status, status == 200)
                serving = (await grpc.Check(health_pb2.HealthCheckRequest())).status
                assert (serving == health_pb2.HealthCheckResponse.SERVING) == (status == 200)
