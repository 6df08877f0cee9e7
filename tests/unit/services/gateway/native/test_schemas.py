from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.spec import UNBOUNDED, Feature
from services.errors import InvalidInput, ModelNotFound, ServingError
from services.gateway.native.schemas import RequestDecoder, RowRequest, RowsRequest, as_row
from tests.fakes import make_spec

if TYPE_CHECKING:
    from models.spec import ModelSpec

ROW = {"height": 12.5, "width": 1, "age": 0}
SPECS = (make_spec(), make_spec("trees", "v7"))
DEEP = b"[" * 200_000


def rows_decoder(specs: tuple[ModelSpec, ...] = SPECS) -> RequestDecoder[RowsRequest]:
    return RequestDecoder(specs, "rows", 10)


def row_decoder() -> RequestDecoder[RowRequest]:
    return RequestDecoder(SPECS, "row", None)


def body(**changes: Any) -> bytes:
    fields = {"model": "flowers", "rows": [ROW]} | changes
    return json.dumps({name: value for name, value in fields.items() if value is not ...}).encode()


def second_row(**changes: Any) -> bytes:
    row = {name: value for name, value in (ROW | changes).items() if value is not ...}
    return body(rows=[ROW, row])


def test_decodes_rows_in_the_order_of_the_features() -> None:
    spec, request = rows_decoder()(b'{"rows": [{"age": 3, "height": 1.5, "width": 2}], "model": "trees"}')
    assert spec.name == "trees"
    assert [as_row(row) for row in request.rows] == [(1.5, 2, 3)]


def test_takes_no_rows_and_the_served_version() -> None:
    _, request = rows_decoder()(body(rows=[], version="v1"))
    assert request.rows == []
    assert request.version == "v1"


def test_takes_one_row() -> None:
    _, request = row_decoder()(body(rows=..., row=ROW))
    assert as_row(request.row) == (12.5, 1, 0)


@pytest.mark.parametrize(
    ("data", "param", "words"),
    [
        (second_row(width=...), "rows[1].width", "is required"),
        (second_row(colour=1), "rows[1].colour", "is not a feature of this model"),
        (second_row(width="2"), "rows[1].width", "must be a number, not a string"),
        (second_row(width=None), "rows[1].width", "must be a number, not null"),
        (second_row(width=[2]), "rows[1].width", "must be a number, not an array"),
        (second_row(width=True), "rows[1].width", "must be a number, not a boolean"),
        (second_row(width=10.5), "rows[1].width", "must be between 0 and 10 cm"),
        (second_row(age=-1.5), "rows[1].age", "must be between -1 and 50."),
        (second_row(width=float("nan")), "rows[1].width", "must be a finite number"),
        (second_row(width=float("-inf")), "rows[1].width", "must be a finite number"),
        (body(rows=[ROW, 5]), "rows[1]", "must be an object, not an integer"),
        (body(rows=[ROW] * 11), "rows", "holds more than 10 entries"),
        (body(rows=ROW), "rows", "must be an array, not an object"),
        (body(rows=...), "rows", "is required"),
        (body(row=ROW), "row", "is not a field of this request"),
        (body(version=3), "version", "must be a string, not an integer"),
        (body(model=...), "model", "is required. Served: flowers, trees."),
        (body(model=None), "model", "is required"),
        (body(model=3), "model", "must be a string"),
        (body(model=["flowers"]), "model", "must be a string"),
        (b"[]", None, "must be an object, not an array"),
        (b"null", None, "must be an object"),
        (b"", None, "not valid JSON"),
        (b"model=flowers", None, "not valid JSON"),
        (b'{"model": "fl\xff"}', None, "not valid JSON"),
        (b"\xff\xfe\x00", None, "not valid JSON"),
        (b'{"model": "nope", nonsense', None, "not valid JSON"),
        (b'{"model": "flowers", "rows": [{"height": "x"', None, "not valid JSON"),
        (b'{"model": ' + DEEP, None, "nested too deeply"),
        (b'{"other": ' + DEEP, None, "nested too deeply"),
        (b'{"model": "flowers", "rows": [{"height": NaN, "width": ' + DEEP, None, "not valid JSON"),
        (b'{"model": "flowers", "rows": ' + DEEP, "rows[0]", "must be an object"),
        (b'{"model": "flowers", "rows": [{}], "model": "nope"}', "rows[0].height", "is required"),
        (b'{"model": "flowers", "rows": [{}], "model": []}', "rows[0].height", "is required"),
    ],
)
def test_errors_name_row_and_field(data: bytes, param: str | None, words: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        rows_decoder()(data)
    message = caught.value.message
    assert words in message
    assert caught.value.param == param
    if param is not None:
        assert message.startswith(param)
    assert "`" not in message


def test_number_beyond_floats_names_its_field() -> None:
    for number in (b"1e999", b"-1e999", b"9" * 400, b"9" * 5000):
        data = b'{"model": "flowers", "rows": [{"height": 1, "width": ' + number + b', "age": 1}]}'
        with pytest.raises(InvalidInput) as caught:
            rows_decoder()(data)
        assert caught.value.param == "rows[0].width"


def test_errors_of_one_row_name_its_field() -> None:
    with pytest.raises(InvalidInput) as caught:
        row_decoder()(body(rows=..., row=ROW | {"height": 101}))
    assert caught.value.message == "row.height: must be between 0 and 100 cm."
    assert caught.value.param == "row.height"


@pytest.mark.parametrize(("data", "param"), [(body(model="Flowers"), "model"), (body(version="v0"), "version")])
def test_unknown_model_or_version(data: bytes, param: str) -> None:
    with pytest.raises(ModelNotFound) as caught:
        rows_decoder()(data)
    assert caught.value.param == param


def test_model_must_be_named_even_when_there_is_only_one() -> None:
    decode = rows_decoder(SPECS[:1])
    assert decode(body())[0] == SPECS[0]
    with pytest.raises(InvalidInput, match="model: is required"):
        decode(body(model=...))
    with pytest.raises(ModelNotFound):
        decode(body(model=""))


def test_store_without_models_answers_not_found() -> None:
    decode = rows_decoder(())
    with pytest.raises(ModelNotFound):
        decode(body())
    with pytest.raises(InvalidInput):
        decode(body(model=...))


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)
ALMOST_A_ROW = st.fixed_dictionaries(
    {}, optional={name: st.floats() | st.integers() | JSON for name in ("height", "width", "age", "other")}
)
ALMOST_A_BODY = st.fixed_dictionaries(
    {},
    optional={
        "model": st.sampled_from(["flowers", "trees", "nope"]) | JSON,
        "rows": st.lists(ALMOST_A_ROW, max_size=12) | JSON,
        "version": st.sampled_from(["v1", "v7"]) | JSON,
        "other": JSON,
    },
)


def encoded(value: object) -> bytes:
    return json.dumps(value).encode()


@given(st.binary() | JSON.map(encoded) | ALMOST_A_BODY.map(encoded))
@settings(max_examples=250)
def test_arbitrary_bytes_raise_only_errors_of_ours(data: bytes) -> None:
    decode = rows_decoder()
    try:
        spec, request = decode(data)
    except ServingError:
        return
    assert all(len(as_row(row)) == len(spec.features) for row in request.rows)


@given(ALMOST_A_BODY.map(encoded), st.integers(0, 200), st.binary(max_size=3))
def test_damaged_bodies_raise_only_errors_of_ours(data: bytes, at: int, damage: bytes) -> None:
    damaged = data[:at] + damage + data[at + len(damage) :]
    with contextlib.suppress(ServingError):
        rows_decoder()(damaged)


OLDER = make_spec("flowers", "v0").model_copy(update={"features": make_spec().features[:2]})


def test_a_version_that_is_named_has_its_own_features() -> None:
    decoder: RequestDecoder[RowsRequest] = RequestDecoder(SPECS, "rows", 10, (OLDER,))
    spec, request = decoder(body(rows=[{"height": 1, "width": 2}], version="v0"))
    assert spec is OLDER
    assert [as_row(row) for row in request.rows] == [(1, 2)]
    assert decoder(body(rows=[], version="v0"))[0] is OLDER
    assert decoder(body())[0] is SPECS[0]
    with pytest.raises(InvalidInput) as caught:
        decoder(body(version="v0"))
    assert caught.value.param == "rows[0].age"
    with pytest.raises(ModelNotFound, match="'v1' is served"):
        decoder(body(version="v9"))


def test_a_model_that_is_no_classifier_is_sent_elsewhere() -> None:
    tensors = make_spec("net").model_copy(update={"labels": (), "features": ()})
    with pytest.raises(InvalidInput, match=r"net is no classifier.*/v2/models/net/infer.*flowers, trees\."):
        rows_decoder((*SPECS, tensors))(body(model="net"))
    with pytest.raises(ModelNotFound, match=r"no model 'oak'. Served: none\."):
        rows_decoder((tensors,))(body(model="oak"))


def test_features_may_have_any_name_and_no_range() -> None:
    names = ("sepal length (cm)", "class", "od280/od315.x", "größe")
    features = tuple(Feature(name=name, description=name, low=-UNBOUNDED, high=UNBOUNDED) for name in names)
    decoder = rows_decoder((make_spec("my-model.v2").model_copy(update={"features": features}),))
    row = dict.fromkeys(names, -1e30)
    _, request = decoder(body(model="my-model.v2", rows=[row]))
    assert as_row(request.rows[0]) == (-1e30,) * 4
    for value, problem in ((1e39, "too large"), ("x", "must be a number")):
        with pytest.raises(InvalidInput, match=problem) as caught:
            decoder(body(model="my-model.v2", rows=[{**row, "od280/od315.x": value}]))
        assert caught.value.param == "rows[0].od280/od315.x"
