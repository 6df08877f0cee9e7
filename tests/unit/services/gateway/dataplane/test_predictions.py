"""Rows and tensors on their way through the batches."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from models.spec import TensorSpec
from services.errors import DeadlineExceeded, InternalError, ServingError, Unavailable
from services.gateway.explaining import CHAT_PATH
from tests.fakes import probabilities_of
from tests.unit.services.gateway.dataplane.stage import ROW, SPEC, Stage
from tests.virtual_time import run_virtually


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


async def test_close_finishes_what_was_accepted() -> None:
    stage = await Stage.ready()
    stage.classifier.gate.clear()
    work = asyncio.create_task(stage.dataplane.predict(SPEC, [ROW]))
    await stage.classifier.reached.wait()
    closing = asyncio.create_task(stage.dataplane.close())
    stage.classifier.gate.set()
    await closing
    assert await work == [probabilities_of(ROW)]
