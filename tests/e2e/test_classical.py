from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import bentoml
import httpx
import pytest

from models import store
from models.classifiers.catalogue import RECIPES
from tests.e2e.rows import IRIS, middle_row

if TYPE_CHECKING:
    from pathlib import Path

    from models.spec import ModelSpec
    from tests.e2e.server import Server


@pytest.fixture(scope="module")
def specs(home: Path) -> tuple[ModelSpec, ...]:
    """Those that ship; the store may hold models of its owner's as well."""
    return tuple(spec for spec in store.list_specs(folder=home / "models") if spec.name in RECIPES)


def test_classify_answers_fishers_first_flower(server: Server) -> None:
    answer = server.http.post("/classify", json={"model": "iris", "rows": [IRIS]})
    assert answer.status_code == 200
    [prediction] = answer.json()["predictions"]
    assert prediction["label"] == "setosa"
    assert prediction["probabilities"]["setosa"] > 0.9
    assert sum(prediction["probabilities"].values()) == pytest.approx(1, abs=1e-5)


def test_every_model_answers_0_1_and_10000_rows(server: Server, specs: tuple[ModelSpec, ...]) -> None:
    assert {spec.framework for spec in specs} == {"scikit-learn", "xgboost", "torch"}
    for spec in specs:
        row = middle_row(spec)
        for count in (0, 1, 10_000 if len(row) < 20 else 1_000):
            answer = server.http.post("/classify", json={"model": spec.name, "rows": [row] * count})
            assert answer.status_code == 200, answer.text[:300]
            predictions = answer.json()["predictions"]
            assert len(predictions) == count
            assert all(set(prediction["probabilities"]) == set(spec.labels) for prediction in predictions)
            assert all(prediction == predictions[0] for prediction in predictions)


async def test_concurrent_rows_get_their_own_answers(server: Server) -> None:
    rows = [{**IRIS, "petal_length": 1 + index / 20, "petal_width": 0.1 + index / 50} for index in range(100)]
    alone = server.http.post("/classify", json={"model": "iris", "rows": rows}).json()["predictions"]
    before = server.metric("tandem_batch_rows_count")
    async with httpx.AsyncClient(base_url=server.url) as client:

        async def ask(row: dict[str, float]) -> Any:
            return (await client.post("/classify", json={"model": "iris", "rows": [row]})).json()["predictions"][0]

        together = await asyncio.gather(*(ask(row) for row in rows))
    assert together == alone
    assert server.metric("tandem_batch_rows_count") - before < 100


def test_bentoml_client_calls_the_typed_methods(server: Server) -> None:
    with bentoml.SyncHTTPClient(server.url) as client:
        answer = client.classify(model="iris", rows=[IRIS])
        assert answer["predictions"][0]["label"] == "setosa"
        explained = client.explain(model="iris", row=IRIS)
        assert explained["prediction"]["label"] == "setosa"
        assert "setosa" in explained["explanation"]
        pieces = list(client.explain_stream(model="iris", row=IRIS))
        assert "".join(pieces) == explained["explanation"]


async def test_bentoml_async_client_does_as_well(server: Server) -> None:
    async with bentoml.AsyncHTTPClient(server.url) as client:
        answer = await client.classify(model="iris", rows=[IRIS])
    assert answer["predictions"][0]["label"] == "setosa"


def test_explanations_add_up_for_every_model(server: Server, specs: tuple[ModelSpec, ...]) -> None:
    for spec in specs:
        answer = server.http.post("/explain", json={"model": spec.name, "row": middle_row(spec)})
        assert answer.status_code == 200, answer.text
        body = answer.json()
        total = body["baseline"] + sum(line["contribution"] for line in body["attributions"])
        assert total == pytest.approx(body["output"], abs=0.02)
        assert body["explanation"], body["reason"]
        assert body["reason"] is None


@pytest.mark.parametrize(
    ("request_body", "status", "param"),
    [
        ({"model": "iris", "rows": [IRIS, {**IRIS, "petal_width": "wide"}]}, 400, "rows[1].petal_width"),
        ({"model": "iris", "rows": [{**IRIS, "petal_width": 1e9}]}, 400, "rows[0].petal_width"),
        ({"model": "iris", "rows": [{"sepal_length": 1}]}, 400, "rows[0].sepal_width"),
        ({"model": "iris", "rows": [{**IRIS, "colour": 1}]}, 400, "rows[0].colour"),
        ({"model": "tulip", "rows": []}, 404, "model"),
        ({"model": "iris", "version": "nope", "rows": []}, 404, "version"),
    ],
)
def test_bad_rows_are_named(server: Server, request_body: dict[str, Any], status: int, param: str) -> None:
    answer = server.http.post("/classify", json=request_body)
    assert answer.status_code == status
    assert answer.json()["param"] == param
    assert param in answer.json()["error"] or status == 404


def test_a_value_that_is_not_finite_is_named(server: Server) -> None:
    body = b'{"model": "iris", "rows": [{"sepal_length": NaN, "sepal_width": 3, "petal_length": 1, "petal_width": 1}]}'
    answer = server.http.post("/classify", content=body)
    assert answer.status_code == 400
    assert answer.json()["param"] == "rows[0].sepal_length"


def test_a_classifier_caller_of_bentoml_gets_batched_predictions(server: Server, home: Path) -> None:
    document = server.http.get("/docs.json").json()
    assert {"/classify", "/explain", "/explain_stream"} <= set(document["paths"])
