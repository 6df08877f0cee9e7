from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast

import msgspec
import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from services.classifier.engine_runner import EngineRunner, Executors
from services.classifier.hop import HopApp
from services.classifier.routes import ATTRIBUTE_PATH, INFER_PATH, MODELS_PATH, PREDICT_PATH, Change, Listing
from services.errors import ModelLoadFailed, ModelNotFound
from services.frames import CONTENT_TYPE, decode_frame, encode_frame
from services.runtime import STATUS_PATH
from services.settings.telemetry import TracingSettings
from services.telemetry.dependency import EngineMetrics
from services.telemetry.spans import TraceSpan, current_span
from services.telemetry.tracing import Tracing
from tests.asgi import Client, no_fallback
from tests.fakes import FakeEngine, FakeTensorEngine, make_listing, make_spec, make_tensor_spec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from models.spec import ModelSpec, Probabilities, Rows
    from services.classifier.registry import Registry

ROWS = np.array([[60, 2, 3], [10, 2, 3]], np.float32)


class BrokenEngine(FakeEngine):
    def predict(self, rows: Rows) -> Probabilities:
        raise ZeroDivisionError("secret")


class FakeRegistry:
    """The models of one worker, as far as predictions need it."""

    def __init__(self, *runners: EngineRunner) -> None:
        self._runners = {runner.spec.name: runner for runner in runners}
        self.changes: list[tuple[str, str, str]] = []

    async def load(self, name: str, version: str) -> None:
        if name not in self._runners:
            raise ModelLoadFailed(f"{name} is broken.")
        self.changes.append(("load", name, version))

    async def unload(self, name: str, version: str) -> None:
        self.changes.append(("unload", name, version))

    async def listing(self) -> Listing:
        return make_listing(len(self.changes), *(runner.spec for runner in self._runners.values()))

    def runner(self, name: str, version: str = "") -> EngineRunner:
        runner = self._runners.get(name)
        if runner is None or version not in {"", runner.spec.version}:
            raise ModelNotFound(f"no {name}")
        return runner

    @property
    def served(self) -> tuple[ModelSpec, ...]:
        return tuple(runner.spec for runner in self._runners.values())

    def status(self) -> dict[str, Any]:
        return {"state": "ready", "models": {name: runner.spec.version for name, runner in self._runners.items()}}


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    executors = Executors.create()
    engines = (FakeEngine(make_spec()), BrokenEngine(make_spec("broken")), FakeTensorEngine(make_tensor_spec()))
    yield FakeRegistry(*(EngineRunner(engine, executors) for engine in engines))
    for executor in (executors.predict, executors.attribute):
        executor.shutdown()


@pytest.fixture
def app(registry: FakeRegistry) -> HopApp:
    return HopApp(cast("Registry", registry), no_fallback, EngineMetrics(CollectorRegistry()))


async def post(app: HopApp, path: str, body: bytes) -> Client:
    client = Client(body)
    await client.ask(app, "POST", path)
    return client


@pytest.mark.parametrize("version", ["", "v1"])
async def test_frame_of_rows_comes_back_as_frame_of_probabilities(app: HopApp, version: str) -> None:
    client = await post(app, PREDICT_PATH, encode_frame("flowers", version, {"features": ROWS}))
    assert client.status == 200
    assert client.headers["content-type"] == CONTENT_TYPE
    header, tensors = decode_frame(b"".join(client.pieces))
    assert header.model == "flowers"
    assert tensors["probabilities"].tolist() == [pytest.approx([0.4, 0.6]), pytest.approx([0.9, 0.1])]


async def test_attributions_come_back_as_json(app: HopApp) -> None:
    client = await post(app, ATTRIBUTE_PATH, encode_frame("flowers", "v1", {"features": ROWS[:1]}))
    answer = json.loads(client.pieces[0])
    assert answer["probabilities"] == pytest.approx([0.4, 0.6])
    assert answer["attributions"]["label"] == "large"


async def test_status(app: HopApp) -> None:
    client = Client()
    await client.ask(app, "GET", STATUS_PATH)
    assert json.loads(client.pieces[0])["state"] == "ready"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"not a frame", 400),
        (encode_frame("flowers", "v1", {"rows": ROWS}), 400),
        (encode_frame("flowers", "v1", {"features": ROWS.astype(np.float64)}), 400),
        (encode_frame("flowers", "v1", {"features": ROWS[:, :2]}), 400),
        (encode_frame("oaks", "v1", {"features": ROWS}), 404),
        (encode_frame("flowers", "v0", {"features": ROWS}), 404),
        (encode_frame("broken", "v1", {"features": ROWS[:1]}), 500),
    ],
)
@pytest.mark.parametrize("path", [PREDICT_PATH, ATTRIBUTE_PATH])
async def test_errors_come_back_as_json(app: HopApp, path: str, body: bytes, status: int) -> None:
    client = await post(app, path, body)
    assert client.status == status
    assert "secret" not in json.loads(client.pieces[0])["error"]


async def test_named_tensors_go_in_and_out(app: HopApp) -> None:
    for values in (ROWS, ROWS[:0]):
        client = await post(app, INFER_PATH, encode_frame("doubler", "v1", {"x": values}))
        assert client.status == 200
        np.testing.assert_array_equal(decode_frame(b"".join(client.pieces))[1]["y"], values * 2)


@pytest.mark.parametrize(
    ("path", "model", "tensors", "words"),
    [
        (INFER_PATH, "doubler", {"x": -ROWS}, "No negative numbers."),
        (INFER_PATH, "flowers", {"features": ROWS}, "flowers is a classifier"),
        (PREDICT_PATH, "doubler", {"features": ROWS}, "doubler is no classifier"),
        (ATTRIBUTE_PATH, "doubler", {"features": ROWS[:1]}, "doubler is no classifier"),
    ],
)
async def test_what_a_model_does_not_take_is_the_callers_mistake(
    app: HopApp, path: str, model: str, tensors: dict[str, Any], words: str
) -> None:
    client = await post(app, path, encode_frame(model, "v1", tensors))
    assert client.status == 400
    assert words in json.loads(client.pieces[0])["error"]


async def test_models_are_listed_and_changed(app: HopApp, registry: FakeRegistry) -> None:
    client = Client()
    await client.ask(app, "GET", MODELS_PATH)
    assert msgspec.json.decode(client.pieces[0], type=Listing).generation == 0
    for change in (Change("flowers", load=True, version="v2"), Change("flowers", load=False)):
        client = await post(app, MODELS_PATH, msgspec.json.encode(change))
    assert registry.changes == [("load", "flowers", "v2"), ("unload", "flowers", "")]
    assert msgspec.json.decode(client.pieces[0], type=Listing).generation == 2


@pytest.mark.parametrize(
    ("body", "code"), [(b'{"name": "oaks", "load": true}', "model_load_failed"), (b'{"name": 1}', "invalid_input")]
)
async def test_a_change_that_cannot_be_made_says_why(app: HopApp, body: bytes, code: str) -> None:
    client = await post(app, MODELS_PATH, body)
    assert client.status == 400
    assert json.loads(client.pieces[0])["code"] == code


async def test_other_paths_are_bentomls(app: HopApp) -> None:
    with pytest.raises(AssertionError, match="/flowers reached BentoML's app"):
        await Client().ask(app, "POST", "/flowers")


async def test_what_the_gateway_no_longer_waits_for_is_not_begun(app: HopApp) -> None:
    for seconds, status in ((-1.0, 504), (5.0, 200)):
        client = await post(app, PREDICT_PATH, encode_frame("flowers", "", {"features": ROWS}, timeout=seconds))
        assert client.status == status


async def test_metrics_tell_what_is_served(app: HopApp) -> None:
    client = Client()
    await client.ask(app, "GET", "/metrics")
    assert client.status == 200
    assert client.headers["content-type"].startswith("text/plain")
    assert b'tandem_model_info{framework="scikit-learn",model="flowers",version="v1"} 1.0' in b"".join(client.pieces)


async def test_engines_are_timed_where_they_succeed(registry: FakeRegistry) -> None:
    counted = CollectorRegistry()
    app = HopApp(cast("Registry", registry), no_fallback, EngineMetrics(counted))
    for model in ("flowers", "broken"):
        await post(app, PREDICT_PATH, encode_frame(model, "", {"features": np.zeros((2, 3), np.float32)}))
    name = "tandem_engine_duration_seconds_count"
    assert counted.get_sample_value(name, {"model": "flowers", "operation": "predict"}) == 1
    assert not counted.get_sample_value(name, {"model": "broken", "operation": "predict"})


@pytest.fixture
def spans() -> list[TraceSpan]:
    """Those that have ended."""
    return []


@pytest.fixture
def traced(registry: FakeRegistry, spans: list[TraceSpan]) -> HopApp:
    tracing = Tracing(TracingSettings(), spans.append, lambda: None)
    return HopApp(cast("Registry", registry), no_fallback, EngineMetrics(CollectorRegistry()), tracing=tracing)


PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.mark.parametrize(
    ("model", "kinds"),
    [("flowers", (None, None)), ("broken", ("ZeroDivisionError",) * 2), ("oaks", ("model_not_found",))],
)
async def test_what_is_done_for_a_sampled_span_is_below_it(
    traced: HopApp, spans: list[TraceSpan], model: str, kinds: tuple[str | None, ...]
) -> None:
    frame = encode_frame(model, "", {"features": ROWS[:1]}, traceparent=PARENT, tracestate="vendor=1")
    await post(traced, PREDICT_PATH, frame)
    assert [one.name for one in spans] == ["engine", PREDICT_PATH][-len(kinds) :]
    assert [one.attributes.get("error.type") for one in spans] == [*kinds]
    assert f"{spans[-1].parent_id:016x}" == PARENT.split("-")[2]
    assert spans[-1].trace_state == "vendor=1"
    assert current_span() is None


async def test_a_request_of_nobodys_works_under_no_span(traced: HopApp, spans: list[TraceSpan]) -> None:
    for frame in (
        encode_frame("flowers", "", {"features": ROWS}),
        encode_frame("flowers", "", {"features": ROWS}, traceparent=PARENT[:-1] + "0"),
    ):
        await post(traced, PREDICT_PATH, frame)
    assert not spans
