"""Every route, answered."""

from __future__ import annotations

import json

import pytest

from services.asgi import send_json
from tests.fake_llm import LLM_NAME, Answer, chat_events
from tests.fakes import probabilities_of
from tests.gateway import MAX_ROWS, Bundle

ROW = {"height": 60, "width": 2, "age": 3}


async def test_classify_one_row() -> None:
    bundle = Bundle()
    async with bundle.client() as client:
        answer = await client.post("/classify", json={"model": "flowers", "rows": [ROW]})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == {
        "model": "flowers",
        "version": "v1",
        "predictions": [{"label": "large", "probabilities": {"small": 0.4, "large": 0.6}}],
    }


@pytest.mark.parametrize("count", [0, 1, MAX_ROWS])
async def test_classify_any_number_of_rows_in_order(count: int) -> None:
    bundle = Bundle()
    rows = [ROW | {"height": index / 100} for index in range(count)]
    async with bundle.client() as client:
        answer = await client.post("/classify", json={"model": "trees", "rows": rows, "version": "v7"})
    assert answer.status_code == 200
    large = [prediction["probabilities"]["large"] for prediction in answer.json()["predictions"]]
    assert large == [probabilities_of([row["height"]])[1] for row in rows]
    assert max((sum(map(len, batch)) for batch in bundle.classifier.batches), default=0) <= 1024


async def test_explain_returns_prediction_attributions_and_words() -> None:
    bundle = Bundle()
    async with bundle.client() as client:
        answer = (await client.post("/explain", json={"model": "flowers", "row": ROW})).json()
    assert answer["prediction"] == {"label": "large", "probabilities": {"small": 0.4, "large": 0.6}}
    assert [(line["feature"], line["value"], line["unit"]) for line in answer["attributions"]] == [
        ("height", 60, "cm"),
        ("age", 3, None),
        ("width", 2, "cm"),
    ]
    total = answer["baseline"] + sum(line["contribution"] for line in answer["attributions"])
    assert total == pytest.approx(answer["output"])
    assert (answer["method"], answer["space"]) == ("linear", "log-odds")
    assert (answer["explanation"], answer["reason"]) == ("Because it is tall.", None)


async def test_explain_without_a_language_model_says_why() -> None:
    bundle = Bundle()
    bundle.dependencies["llm"].die()
    async with bundle.client() as client:
        answer = await client.post("/explain", json={"model": "flowers", "row": ROW})
    assert answer.status_code == 200
    body = answer.json()
    assert body["prediction"]["label"] == "large"
    assert len(body["attributions"]) == 3
    assert body["explanation"] is None
    assert "language model" in body["reason"]


async def test_explain_stream_is_text() -> None:
    bundle = Bundle()
    bundle.llm.answer = Answer(chat_events("Because ", "it is ", "gr\u00fcn."))
    async with bundle.client() as client:
        answer = await client.post("/explain_stream", json={"model": "flowers", "row": ROW})
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.text == "Because it is gr\u00fcn."


@pytest.mark.parametrize(
    "path", ["/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/embeddings", "/tokenize", "/detokenize"]
)
async def test_openai_bodies_pass_through_as_they_are(path: str) -> None:
    bundle = Bundle()
    bundle.llm.answer = Answer([b'{"id":  "gr\xc3', b'\xbcn"}'])
    body = b'{"model": "fake-llm",   "messages": [], "unknown": {"kept": 1.0}}'
    async with bundle.client() as client:
        answer = await client.post(f"{path}?ignored=1", content=body, headers={"x-request-id": "mine"})
    assert answer.content == b'{"id":  "gr\xc3\xbcn"}'
    assert answer.headers["content-type"] == "application/json"
    (asked,) = bundle.llm.asked
    assert (asked.method, asked.path, asked.body) == ("POST", path, body)
    assert asked.headers == {"content-type": "application/json", "x-request-id": "mine"}


async def test_models_of_the_language_model() -> None:
    bundle = Bundle()
    listing = {"object": "list", "data": [{"id": LLM_NAME}, {"id": "hub/name"}]}
    bundle.llm.answer = Answer([json.dumps(listing).encode()])
    async with bundle.client() as client:
        assert (await client.get("/v1/models")).json() == listing
        assert (await client.head("/v1/models")).status_code == 200
        assert (await client.get("/v1/models/hub/name")).json() == {"id": "hub/name"}
        assert (await client.get("/v1/models/hub%2Fname")).json() == {"id": "hub/name"}
    assert {(asked.method, asked.path) for asked in bundle.llm.asked} == {("GET", "/v1/models")}


@pytest.mark.parametrize("path", ["/livez", "/healthz"])
async def test_alive_whatever_the_dependencies_do(path: str) -> None:
    bundle = Bundle()
    for dependency in bundle.dependencies.values():
        dependency.die()
    async with bundle.client() as client:
        answer = await client.get(path)
    assert (answer.status_code, answer.json()) == (200, {"status": "alive"})


async def test_ready_only_while_every_dependency_answers() -> None:
    bundle = Bundle()
    async with bundle.client() as client:
        answer = await client.get("/readyz")
        assert answer.status_code == 200
        assert answer.json()["ready"] is True
        bundle.dependencies["llm"].status = {"state": "starting", "reason": "Loading the weights."}
        answer = await client.get("/readyz")
        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "5"
        assert answer.json() == {
            "ready": False,
            "dependencies": {
                "classifier": {"state": "ready", "reason": None},
                "llm": {"state": "starting", "reason": "Loading the weights."},
            },
        }
        bundle.dependencies["llm"].status = {"state": "ready"}
        assert (await client.get("/readyz")).status_code == 200


async def test_health_reports_models_load_and_memory() -> None:
    bundle = Bundle()
    memory = [{"device": 0, "used": 1}]
    bundle.dependencies["llm"].status = {"state": "ready", "models": [LLM_NAME], "gpu_memory": memory}
    async with bundle.client() as client:
        body = (await client.get("/health")).json()
    assert body["ready"] is True
    assert body["classifier"] == {"state": "ready", "models": {"flowers": "v1", "trees": "v7"}}
    assert body["llm"]["models"] == [LLM_NAME]
    assert body["active_requests"] == 1
    assert body["gpu_memory"] == memory


async def test_metrics_have_bounded_labels_and_count_every_request() -> None:
    bundle = Bundle()
    async with bundle.client() as client:
        await client.post("/classify", json={"model": "flowers", "rows": [ROW]})
        for index in range(5):
            await client.get(f"/nowhere/{index}")
            await client.get(f"/v1/models/{index}")
        text = (await client.get("/metrics")).text
    assert 'tandem_requests_total{route="/classify",status="200"} 1.0' in text
    assert 'tandem_requests_total{route="unknown",status="404"} 5.0' in text
    assert 'tandem_batch_rows_sum{model="flowers"} 1.0' in text
    assert "nowhere" not in text
    assert "/v1/models/3" not in text
    assert bundle.telemetry.active == 0


async def test_log_line_tells_of_the_request_but_not_what_was_in_it(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    bundle = Bundle()
    async with bundle.client() as client:
        await client.post("/classify", json={"model": "flowers", "rows": [ROW] * 3}, headers={"x-request-id": "mine"})
        await client.post("/v1/completions", json={"model": LLM_NAME, "prompt": "secret words"})
        await client.post("/classify", json={"model": "flowers", "rows": [{"height": "secret words"}]})
    bundle.telemetry.close()
    written = capfdbinary.readouterr().out
    first, second, third = (json.loads(line) for line in written.splitlines())
    assert (first["request_id"], first["model"], first["rows"], first["status"]) == ("mine", "flowers", 3, 200)
    assert (second["route"], second["model"]) == ("/v1/completions", LLM_NAME)
    assert (third["status"], third["error"]) == (400, "invalid_input")
    assert b"secret" not in written


async def test_pages_of_bentoml_are_bentomls() -> None:
    seen = []

    async def bentoml_app(scope: object, receive: object, send: object) -> None:
        seen.append(scope["path"])  # type: ignore[index]
        await send_json(send, 200, b"{}")  # type: ignore[arg-type]

    bundle = Bundle(fallback=bentoml_app)
    async with bundle.client() as client:
        for path in ("/", "/schema.json", "/static_content/index.html"):
            assert (await client.get(path)).status_code == 200
    assert seen == ["/", "/schema.json", "/static_content/index.html"]
