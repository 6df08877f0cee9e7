from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pytest

from services.classifier_hop import HopApp
from services.classifier_routes import ATTRIBUTE_PATH, PREDICT_PATH
from services.engine_runner import EngineRunner, Executors
from services.errors import ModelNotFound
from services.frames import CONTENT_TYPE, decode_frame, encode_frame
from services.runtime import STATUS_PATH
from tests.asgi import Client, no_fallback
from tests.fakes import FakeEngine, make_spec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from models.spec import Probabilities, Rows
    from services.classifier_registry import Registry

ROWS = np.array([[60, 2, 3], [10, 2, 3]], np.float32)


class BrokenEngine(FakeEngine):
    def predict(self, rows: Rows) -> Probabilities:
        raise ZeroDivisionError("secret")


class FakeRegistry:
    """The models of one worker, as far as predictions need it."""

    def __init__(self, *runners: EngineRunner) -> None:
        self._runners = {runner.spec.name: runner for runner in runners}

    def runner(self, name: str, version: str = "") -> EngineRunner:
        runner = self._runners.get(name)
        if runner is None or version not in {"", runner.spec.version}:
            raise ModelNotFound(f"no {name}")
        return runner

    def status(self) -> dict[str, Any]:
        return {"state": "ready", "models": {name: runner.spec.version for name, runner in self._runners.items()}}


@pytest.fixture
def app() -> Iterator[HopApp]:
    executors = Executors.create()
    flowers, broken = FakeEngine(make_spec()), BrokenEngine(make_spec("broken"))
    registry = FakeRegistry(EngineRunner(flowers, executors), EngineRunner(broken, executors))
    yield HopApp(cast("Registry", registry), no_fallback)
    for executor in (executors.predict, executors.attribute):
        executor.shutdown()


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


async def test_other_paths_are_bentomls(app: HopApp) -> None:
    with pytest.raises(AssertionError, match="/flowers reached BentoML's app"):
        await Client().ask(app, "POST", "/flowers")
