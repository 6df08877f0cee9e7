from __future__ import annotations

import asyncio
import json

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from models.spec import TensorSpec
from services.classifier.routes import Change
from services.errors import (
    DeadlineExceeded,
    InternalError,
    ModelLoadFailed,
    ModelNotFound,
    ServingError,
    Unavailable,
)
from services.gateway.dataplane import DataPlane
from services.gateway.explaining import CHAT_PATH
from services.gateway.health import HealthMonitor
from services.gateway.streamed import ConnectionLost
from services.settings.gateway import BatchingSettings, GatewaySettings
from services.settings.tree import Settings
from tests.fakes import (
    LLM_NAME,
    Answer,
    FakeClassifier,
    FakeDependency,
    FakeLLM,
    chat_answer,
    chat_events,
    make_listing,
    make_spec,
    probabilities_of,
)
from tests.metrics import make_metrics, value
from tests.virtual_time import run_virtually

SPEC = make_spec()
ROW = (60.0, 2.0, 3.0)


class Stage:
    """A data plane over fakes."""

    def __init__(self, **gateway: float) -> None:
        self.classifier = FakeClassifier()
        self.llm = FakeLLM()
        self.dependencies = {
            "classifier": FakeDependency("Classifier"),
            "llm": FakeDependency(
                "language model", {"state": "ready", "model": LLM_NAME, "models": [LLM_NAME, "lora"]}
            ),
        }
        self.monitor = HealthMonitor(self.dependencies, 0.5)
        self.registry = CollectorRegistry()
        self.metrics = make_metrics(self.registry)
        self.dataplane = DataPlane(
            [SPEC, make_spec("trees")],
            self.classifier,
            self.llm,
            self.monitor,
            Settings(gateway=GatewaySettings(**gateway), batching=BatchingSettings(max_rows=4)),
            self.metrics,
        )

    @classmethod
    async def ready(cls, **gateway: float) -> Stage:
        stage = cls(**gateway)
        await stage.monitor.look()
        return stage

    def counted(self, name: str, **labels: str) -> float:
        return value(self.metrics, self.registry, name, **labels)

    async def streamed(self) -> str:
        return "".join([piece async for piece in self.dataplane.explain_stream(SPEC, ROW)])


async def test_spec_by_name() -> None:
    stage = await Stage.ready()
    assert stage.dataplane.spec("trees").name == "trees"
    with pytest.raises(ModelNotFound, match=r"no model 'oaks'\. Served: flowers, trees\."):
        stage.dataplane.spec("oaks")


@pytest.mark.parametrize(("shape", "batches"), [((-1, 2), 2), ((1, 2), 101)])
async def test_tensors_with_rows_share_calls_and_those_without_queue_one_by_one(
    shape: tuple[int, ...], batches: int
) -> None:
    stage = await Stage.ready()
    tensor = TensorSpec(name="x", datatype="FP32", shape=shape)
    spec = SPEC.model_copy(update={"features": (), "labels": (), "inputs": (tensor,), "outputs": (tensor,)})
    stage.classifier.gate.clear()
    given = [np.full((1, 2), number, np.float32) for number in range(101)]
    asking = [asyncio.create_task(stage.dataplane.infer(spec, {"x": one})) for one in given]
    await stage.classifier.reached.wait()
    stage.classifier.gate.set()
    for one, answer in zip(given, await asyncio.gather(*asking), strict=True):
        np.testing.assert_array_equal(answer["x"], one * 2)
    assert len(stage.classifier.inferred) >= batches
    assert all(len(batch) == 1 for batch in stage.classifier.inferred) is (shape[0] == 1)


async def test_models_come_and_go_on_request() -> None:
    stage = await Stage.ready()
    newer = make_spec(version="v2")
    stage.classifier.lists = make_listing(1, newer, others=(SPEC,))
    await stage.dataplane.load_model("flowers")
    assert stage.classifier.changes == [Change("flowers", load=True)]
    assert stage.dataplane.spec("flowers") == newer
    assert stage.dataplane.spec("flowers", "v1") == SPEC
    assert [one.version for one in await stage.dataplane.repository()] == ["v1", "v2"]
    stage.classifier.lists = make_listing(2)
    await stage.dataplane.unload_model("flowers", "v2")
    assert stage.classifier.changes[1:] == [Change("flowers", load=False, version="v2")]
    with pytest.raises(ModelNotFound):
        stage.dataplane.spec("flowers")


async def test_a_request_under_way_finishes_on_the_version_it_began_with() -> None:
    stage = await Stage.ready()
    stage.classifier.gate.clear()
    first = asyncio.create_task(stage.dataplane.predict(SPEC, [ROW]))
    await stage.classifier.reached.wait()
    waiting = asyncio.create_task(stage.dataplane.predict(SPEC, [ROW]))
    stage.dataplane.catalogue.apply(make_listing(1, make_spec(version="v2")))
    stage.classifier.gate.set()
    assert await first == await waiting == [probabilities_of(ROW)]
    assert await stage.dataplane.predict(SPEC, [ROW]) == [probabilities_of(ROW)]


async def test_nothing_changes_when_a_load_fails_or_the_classifier_is_down() -> None:
    stage = await Stage.ready()
    stage.classifier.error = ModelLoadFailed("It is broken.")
    with pytest.raises(ModelLoadFailed):
        await stage.dataplane.load_model("flowers")
    assert stage.dataplane.spec("flowers") == SPEC
    stage.dependencies["classifier"].die()
    await stage.monitor.look()
    for asked in (stage.dataplane.load_model("flowers"), stage.dataplane.repository()):
        with pytest.raises(Unavailable):
            await asked


@pytest.mark.parametrize("count", [0, 1, 4, 5, 11])
async def test_predictions_keep_their_order_over_batches(count: int) -> None:
    stage = await Stage.ready()
    rows = [(float(height), 1.0, 0.0) for height in range(count)]
    assert await stage.dataplane.predict(SPEC, rows) == [probabilities_of(row) for row in rows]
    assert stage.counted("tandem_batch_rows_sum", model="flowers") == count
    batches = stage.counted("tandem_batch_rows_count", model="flowers")
    assert stage.counted("tandem_batch_rows_bucket", model="flowers", le="4.0") == batches
    assert stage.counted("tandem_batch_duration_seconds_count", model="flowers") == batches


async def test_models_are_never_mixed_in_a_batch() -> None:
    stage = await Stage.ready()
    trees = stage.dataplane.spec("trees")
    await asyncio.gather(*(stage.dataplane.predict(spec, [ROW]) for spec in (SPEC, trees, SPEC, trees)))
    for model in ("flowers", "trees"):
        assert stage.counted("tandem_batch_rows_count", model=model) == 1
        assert stage.counted("tandem_batch_rows_sum", model=model) == 2


def test_deadline_is_for_the_whole_request_and_not_for_each_part_of_it() -> None:
    async def scenario() -> None:
        stage = await Stage.ready(request_timeout=1.0)
        stage.classifier.seconds = 0.4
        with pytest.raises(DeadlineExceeded):
            await stage.dataplane.predict(SPEC, [ROW] * 40)
        assert asyncio.get_running_loop().time() < 1.2

    run_virtually(scenario())


@pytest.mark.parametrize("error", [Unavailable("down"), InternalError("bug")])
async def test_errors_of_the_classifier_reach_the_caller(error: ServingError) -> None:
    stage = await Stage.ready()
    stage.classifier.error = error
    with pytest.raises(type(error)):
        await stage.dataplane.predict(SPEC, [ROW])
    with pytest.raises(type(error)):
        await stage.dataplane.explain(SPEC, ROW)


async def test_dependency_that_is_down_is_not_asked() -> None:
    stage = Stage()
    stage.dependencies["classifier"].die()
    await stage.monitor.look()
    with pytest.raises(Unavailable):
        await stage.dataplane.predict(SPEC, [ROW])
    with pytest.raises(Unavailable):
        await stage.dataplane.explain(SPEC, ROW)
    assert stage.classifier.batches == []
    stage.dependencies["llm"].die()
    await stage.monitor.look()
    with pytest.raises(Unavailable):
        async with stage.dataplane.generate("POST", CHAT_PATH, b"", {}):
            pass
    with pytest.raises(Unavailable):
        await stage.streamed()
    assert stage.llm.asked == []


async def test_explanation_is_of_exactly_the_prediction() -> None:
    stage = await Stage.ready()
    explanation = await stage.dataplane.explain(SPEC, ROW)
    assert explanation.attributed.label == "large"
    assert explanation.attributed.probabilities == {"small": 0.4, "large": 0.6}
    assert [line.feature for line in explanation.attributed.ranked] == ["height", "age", "width"]
    assert (explanation.text, explanation.reason) == ("Because it is tall.", None)
    (asked,) = stage.llm.asked
    assert (asked.method, asked.path) == ("POST", CHAT_PATH)
    body = json.loads(asked.body)
    assert body["model"] == LLM_NAME
    assert body["stream"] is False
    assert "Label: large" in body["messages"][-1]["content"]
    assert "height" in body["messages"][-1]["content"]


@pytest.mark.parametrize(
    "answer",
    [
        chat_answer(None),
        Answer([b'{"choices": []}']),
        Answer([b'{"choices": null}']),
        Answer([b"[]"]),
        Answer([b"not JSON"]),
        Answer([b'{"choices": "\xff"}']),
        Answer([b'{"error": {"message": "Too long."}}'], status=400),
        Answer([b"oops"], status=500),
        Answer([b"["], error=Unavailable("The language model broke off.")),
    ],
)
async def test_explanation_without_words_says_why(answer: Answer) -> None:
    stage = await Stage.ready()
    stage.llm.answer = answer
    explanation = await stage.dataplane.explain(SPEC, ROW)
    assert explanation.attributed.label == "large"
    assert explanation.text is None
    assert explanation.reason is not None
    assert explanation.reason.startswith("The language model")


async def test_explanation_when_the_language_model_is_down() -> None:
    stage = Stage()
    stage.dependencies["llm"].status = {"state": "failed", "reason": "No memory."}
    await stage.monitor.look()
    explanation = await stage.dataplane.explain(SPEC, ROW)
    assert explanation.text is None
    assert explanation.reason is not None
    assert explanation.reason.startswith("The language model could not start")
    assert stage.llm.asked == []


async def test_explanation_is_streamed_piece_by_piece() -> None:
    stage = await Stage.ready()
    stage.llm.answer = Answer(chat_events("Because ", "it is ", "gr\u00fcn."), content_type="text/event-stream")
    assert await stage.streamed() == "Because it is gr\u00fcn."
    assert json.loads(stage.llm.asked[0].body)["stream"] is True
    assert stage.llm.open == 0


@pytest.mark.parametrize(
    "answer",
    [
        Answer([b'{"error": {"message": "Too long."}}'], status=400),
        Answer([b"oops"], status=502),
        Answer([b'data: {"error": {"message": "Engine died."}}\n\n', b"data: [DONE]\n\n"]),
        Answer([b'data: {"choices": [{"delta": \n\n']),
        Answer([b'data: {"choices": [{}]}\n\n']),
    ],
)
async def test_stream_that_fails_is_an_error_and_not_an_empty_text(answer: Answer) -> None:
    stage = await Stage.ready()
    stage.llm.answer = answer
    with pytest.raises(Unavailable, match="The language model"):
        await stage.streamed()
    assert stage.llm.open == 0


async def test_stream_that_is_left_early_ends_the_generation() -> None:
    stage = await Stage.ready()
    stage.llm.answer = Answer(chat_events("Because ")[:1], hold=asyncio.Event(), content_type="text/event-stream")
    pieces = stage.dataplane.explain_stream(SPEC, ROW)
    assert await anext(pieces) == "Because "
    assert stage.llm.open == 1
    await pieces.aclose()
    assert stage.llm.open == 0


async def test_generation_is_handed_on_as_it_is() -> None:
    stage = await Stage.ready()
    async with stage.dataplane.generate("POST", CHAT_PATH, b"{}", {"x-one": "1"}) as response:
        assert response.status == 200
    (asked,) = stage.llm.asked
    assert (asked.method, asked.path, asked.body, asked.headers) == ("POST", CHAT_PATH, b"{}", {"x-one": "1"})
    stage.llm.error = ConnectionLost(answer_begun=True)
    with pytest.raises(ConnectionLost):
        async with stage.dataplane.generate("POST", CHAT_PATH, b"{}", {}):
            pass


async def test_names_of_the_language_model() -> None:
    stage = Stage()
    assert stage.dataplane.llm_models() == ()
    await stage.monitor.look()
    assert stage.dataplane.llm_models() == (LLM_NAME, "lora")


async def test_close_finishes_what_was_accepted() -> None:
    stage = await Stage.ready()
    stage.classifier.gate.clear()
    work = asyncio.create_task(stage.dataplane.predict(SPEC, [ROW]))
    await stage.classifier.reached.wait()
    closing = asyncio.create_task(stage.dataplane.close())
    stage.classifier.gate.set()
    await closing
    assert await work == [probabilities_of(ROW)]
