from __future__ import annotations

import asyncio

import msgspec
import pytest

from services.classifier.routes import Listing, StoredModel
from services.errors import ModelNotFound, Unavailable
from services.gateway.catalogue import Catalogue, StoredVersion
from tests.fakes import FakeClassifier, make_listing, make_spec
from tests.virtual_time import run_virtually

OLD, NEW = make_spec(), make_spec(version="v2")


def make() -> tuple[Catalogue, FakeClassifier, list[set[str]]]:
    classifier = FakeClassifier()
    catalogue = Catalogue((OLD,), classifier)
    heard: list[set[str]] = []
    catalogue.listen(lambda: heard.append({spec.version for spec in catalogue.specs.values()}))
    return catalogue, classifier, heard


def test_until_the_classifier_has_spoken_the_store_is_believed() -> None:
    catalogue, _, heard = make()
    assert catalogue.find("flowers") is OLD
    assert catalogue.find("flowers", "v1") is OLD
    assert catalogue.served() == (OLD,)
    assert heard == [{"v1"}]


def test_what_is_served_replaces_what_was_believed() -> None:
    catalogue, _, heard = make()
    catalogue.apply(make_listing(1, NEW, others=(OLD,)))
    assert catalogue.find("flowers") == NEW
    assert catalogue.find("flowers", "v1") == OLD
    assert catalogue.others == (OLD,)
    assert heard == [{"v1"}, {"v2"}]
    catalogue.apply(make_listing(2))
    assert catalogue.specs == {}
    assert not catalogue.holds("flowers", "v2")
    with pytest.raises(ModelNotFound, match=r"There is no model 'flowers'\. Served: none"):
        catalogue.find("flowers")


def test_a_version_that_is_not_served_is_named_with_the_one_that_is() -> None:
    catalogue, *_ = make()
    with pytest.raises(ModelNotFound, match="no version 'v9'; 'v1' is served") as caught:
        catalogue.find("flowers", "v9")
    assert caught.value.param == "version"


def test_an_older_listing_of_the_same_run_is_no_news_and_one_of_another_run_is() -> None:
    catalogue, _, heard = make()
    catalogue.apply(make_listing(5, NEW))
    catalogue.apply(make_listing(4, OLD))
    assert catalogue.find("flowers") == NEW
    catalogue.apply(make_listing(1, OLD, run="restarted"))
    assert catalogue.find("flowers") == OLD
    assert len(heard) == 3


def test_another_run_that_serves_the_same_changes_nothing() -> None:
    catalogue, _, heard = make()
    catalogue.apply(make_listing(1, NEW, others=(OLD,)))
    catalogue.apply(make_listing(1, NEW, others=(OLD,), run="restarted"))
    assert heard == [{"v1"}, {"v2"}]
    catalogue.apply(make_listing(1, OLD, others=(NEW,), run="restarted once more"))
    assert heard[2:] == [{"v1"}]


def test_a_listing_tells_of_everything_that_is_stored() -> None:
    catalogue, *_ = make()
    listing = make_listing(1, NEW)
    stored = Listing(listing.run, 1, listing.served, [StoredModel("flowers", "v1", "It is not loaded.")])
    assert catalogue.apply(stored) == [
        StoredVersion("flowers", "v1", ready=False, reason="It is not loaded."),
        StoredVersion("flowers", "v2", ready=True, reason=""),
    ]


def test_changes_are_learned_well_within_a_second_whatever_happens_before() -> None:
    async def scenario() -> None:
        catalogue, classifier, heard = make()
        classifier.lists = make_listing(1, OLD)
        catalogue.start()
        await asyncio.sleep(0.5)
        classifier.error = Unavailable("The Classifier is not running.")
        classifier.lists = make_listing(2, NEW)
        await asyncio.sleep(0.5)
        classifier.error = msgspec.DecodeError("unforeseen")
        await asyncio.sleep(0.5)
        assert heard == [{"v1"}]
        classifier.error = None
        await asyncio.sleep(0.5)
        assert heard[1:] == [{"v2"}]
        await catalogue.stop()
        classifier.lists = make_listing(3, OLD)
        await asyncio.sleep(2)
        assert len(heard) == 2

    run_virtually(scenario())


async def test_stop_without_start() -> None:
    await make()[0].stop()
