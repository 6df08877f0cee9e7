"""Models by name and version, while they come and go."""

from __future__ import annotations

import asyncio

import pytest

from services.classifier.routes import Change
from services.errors import ModelLoadFailed, ModelNotFound, Unavailable
from tests.fakes import make_listing, make_spec, probabilities_of
from tests.unit.services.gateway.dataplane.stage import ROW, SPEC, Stage


async def test_spec_by_name() -> None:
    stage = await Stage.ready()
    assert stage.dataplane.spec("trees").name == "trees"
    with pytest.raises(ModelNotFound, match=r"no model 'oaks'\. Served: flowers, trees\."):
        stage.dataplane.spec("oaks")


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
