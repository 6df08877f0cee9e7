from __future__ import annotations

from datetime import timedelta

from models.spec import ModelSpec
from services.classifier.routes import Generation, Listing, StoredModel
from services.gateway.agreement import merged, together
from tests.fakes import make_listing, make_spec

OLD = make_spec()
NEW = make_spec(version="v2").model_copy(update={"trained_at": OLD.trained_at + timedelta(days=1)})
OTHER = make_spec("trees", "v7")


def served(listing: Listing) -> dict[tuple[str, str], bool]:
    """Whether a bare name stands for it, by name and version."""
    specs = [(ModelSpec.model_validate_json(bytes(one.spec)), one.default) for one in listing.served]
    return {(spec.name, spec.version): default for spec, default in specs}


def test_a_generation_tells_of_every_change_and_of_every_run() -> None:
    a, b = Generation("a", 3), Generation("b", 1)
    assert together([a]) == a
    both = together([a, b])
    assert together([b, a]) == both
    assert together([a, b, b]) == both, "two addresses of one Classifier"
    assert together([a, Generation("b", 2)]) == Generation(both.run, both.generation + 1)
    assert together([Generation("c", 3), b]).run != both.run


def test_one_listing_is_what_it_is() -> None:
    listing = make_listing(4, NEW, others=(OLD,))
    assert merged([listing]) is listing


def test_classifiers_that_agree_serve_what_each_does() -> None:
    both = merged([make_listing(1, OLD, OTHER, run="a"), make_listing(1, OLD, OTHER, run="b")])
    assert served(both) == {("flowers", "v1"): True, ("trees", "v7"): True}
    assert (both.run, both.generation) == ("a+b", 2)


def test_what_one_of_them_serves_is_served_and_the_newest_has_the_name() -> None:
    before, after = make_listing(1, OLD, OTHER, run="a"), make_listing(1, NEW, run="b")
    for listings in ([before, after], [after, before]):
        assert served(merged(listings)) == {("flowers", "v1"): False, ("flowers", "v2"): True, ("trees", "v7"): True}


def test_what_is_served_somewhere_is_not_merely_stored() -> None:
    idle = [StoredModel("flowers", "v1", "It is not loaded."), StoredModel("flowers", "v0", "It is not loaded.")]
    one = Listing("a", 1, make_listing(1, NEW).served, idle)
    other = make_listing(1, OLD, run="b")
    assert [stored.version for stored in merged([one, other]).stored] == ["v0"]
