from __future__ import annotations

import asyncio
import json
from typing import Any

import numpy as np
import pytest

from services.errors import Overloaded, Unavailable
from tests.stage import FLOWERS, Stage, tensor_spec

SUMS = tensor_spec("sums", ("a", "INT32", (-1, 2)), ("b", "FP64", (-1,)))
IMAGES = tensor_spec("images", ("image", "FP16", (1, 2)))


def body(rows: list[list[float]], **changes: Any) -> dict[str, Any]:
    features = {"name": "features", "datatype": "FP32", "shape": [len(rows), 3], "data": rows, **changes}
    return {"inputs": [features]}


async def test_server_and_models_describe_themselves() -> None:
    async with Stage([FLOWERS, SUMS]).client() as client:
        server = (await client.get("/v2")).json()
        assert server["name"] == "tandem"
        assert "binary_tensor_data" in server["extensions"]
        assert (await client.get("/v2/health/live")).json() == {"live": True}
        assert (await client.get("/v2/health/ready")).json() == {"ready": True}
        for path in ("/v2/models/flowers", "/v2/models/flowers/versions/v1"):
            model = (await client.get(path)).json()
            assert (model["name"], model["versions"], model["platform"]) == ("flowers", ["v1"], "scikit-learn")
            assert model["inputs"] == [{"name": "features", "datatype": "FP32", "shape": [-1, 3]}]
            assert model["parameters"]["labels"] == ["small", "large"]
            assert model["parameters"]["features"][0]["unit"] == "cm"
            ready = (await client.get(f"{path}/ready")).json()
            assert ready == {"name": "flowers", "version": "v1", "ready": True}


@pytest.mark.parametrize("path", ["/v2/models/flowers/infer", "/v2/models/flowers/versions/v1/infer"])
async def test_infer(path: str) -> None:
    async with Stage().client() as client:
        answer = await client.post(path, json={"id": "41", **body([[60, 2, 3], [10, 1, 0]])})
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "application/json"
        label, probabilities = answer.json()["outputs"]
        assert answer.json()["id"] == "41"
        assert label == {"name": "label", "datatype": "BYTES", "shape": [2], "data": ["large", "small"]}
        assert probabilities["shape"] == [2, 2]
        np.testing.assert_allclose(probabilities["data"], [0.4, 0.6, 0.9, 0.1], atol=1e-6)


async def test_no_rows_and_more_rows_than_a_batch() -> None:
    stage = Stage()
    async with stage.client() as client:
        for count in (0, 64, 65, 1000):
            answer = await client.post("/v2/models/flowers/infer", json=body([[60, 2, 3]] * count, shape=[count, 3]))
            assert [output["shape"] for output in answer.json()["outputs"]] == [[count], [count, 2]], answer.text
    assert max(sum(map(len, batch)) for batch in stage.classifier.batches) == 64


async def test_binary_both_ways() -> None:
    rows = np.array([[60, 2, 3]], np.float32)
    described = {"name": "features", "datatype": "FP32", "shape": [1, 3], "parameters": {"binary_data_size": 12}}
    head = json.dumps({"inputs": [described], "parameters": {"binary_data_output": True}}).encode()
    async with Stage().client() as client:
        answer = await client.post(
            "/v2/models/flowers/infer",
            content=head + rows.tobytes(),
            headers={"Inference-Header-Content-Length": str(len(head))},
        )
    assert answer.status_code == 200, answer.text
    size = int(answer.headers["inference-header-content-length"])
    assert [output["parameters"]["binary_data_size"] for output in json.loads(answer.content[:size])["outputs"]] == [
        9,
        8,
    ]
    assert answer.content[size : size + 9] == b"\x05\0\0\0large"
    np.testing.assert_allclose(np.frombuffer(answer.content[size + 9 :], np.float32), [0.4, 0.6], atol=1e-6)


async def test_several_inputs_of_any_datatype() -> None:
    stage = Stage([SUMS, IMAGES])
    async with stage.client() as client:
        answer = await client.post(
            "/v2/models/sums/infer",
            json={
                "inputs": [
                    {"name": "b", "datatype": "FP64", "shape": [2], "data": [0.5, 1.5]},
                    {"name": "a", "datatype": "INT32", "shape": [2, 2], "data": [[1, 2], [3, 4]]},
                ],
                "outputs": [{"name": "b_doubled"}, {"name": "a_doubled"}],
            },
        )
        assert answer.status_code == 200, answer.text
        assert [output["data"] for output in answer.json()["outputs"]] == [[1.0, 3.0], [2, 4, 6, 8]]
        image = {"name": "image", "datatype": "FP16", "shape": [1, 2], "data": [0.5, 2]}
        answers = await asyncio.gather(
            *(client.post("/v2/models/images/infer", json={"inputs": [image]}) for _ in range(3))
        )
        assert all(answer.json()["outputs"][0]["data"] == [1.0, 4.0] for answer in answers)
    assert sum(len(batch) for batch in stage.classifier.inferred) == 4
    assert {len(batch) for batch in stage.classifier.inferred} == {1}, "without rows there is nothing to batch"


async def test_single_rows_share_batches_with_the_native_api() -> None:
    stage = Stage()
    stage.classifier.gate.clear()
    async with stage.client() as client:
        native = {"model": "flowers", "rows": [{"height": 60, "width": 2, "age": 3}]}
        asking = [
            asyncio.ensure_future(
                client.post("/v2/models/flowers/infer", json=body([[index, 1, 1]]))
                if index % 2
                else client.post("/classify", json=native)
            )
            for index in range(32)
        ]
        await stage.classifier.reached.wait()
        await asyncio.sleep(0.1)
        stage.classifier.gate.set()
        answers = await asyncio.gather(*asking)
    assert len(stage.classifier.batches) < 8
    for index, answer in enumerate(answers):
        if index % 2:
            assert answer.json()["outputs"][1]["data"][1] == pytest.approx(index / 100, abs=1e-6)
        else:
            assert answer.json()["predictions"][0]["probabilities"] == {"small": 0.4, "large": 0.6}


async def test_bad_requests_hurt_no_neighbour() -> None:
    stage = Stage()
    bad = [body([[60, 2, 1000]]), body([[1, 2]], shape=[1, 2]), body([[60, 2, 3]], datatype="INT32"), {"inputs": []}]
    async with stage.client() as client:
        answers = await asyncio.gather(
            *(
                client.post(
                    "/v2/models/flowers/infer", json=bad[index // 2 % 4] if index % 2 else body([[index, 1, 1]])
                )
                for index in range(64)
            )
        )
    assert [answer.status_code for answer in answers] == [200, 400] * 32
    for index in range(0, 64, 2):
        assert answers[index].json()["outputs"][1]["data"][1] == pytest.approx(index / 100, abs=1e-6)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v2/models/oaks", 404),
        ("GET", "/v2/models/oaks/ready", 404),
        ("POST", "/v2/models/oaks/infer", 404),
        ("GET", "/v2/models/flowers/versions/v2", 404),
        ("POST", "/v2/models/flowers/versions/v2/infer", 404),
        ("GET", "/v2/models/flowers/", 404),
        ("GET", "/v2/models/flowers/versions", 404),
        ("GET", "/v2/models/flowers/versions//ready", 404),
        ("GET", "/v2/models/flowers%2Fready", 200),
        ("GET", "/v2/models//", 404),
        ("GET", "/v2/models", 404),
        ("GET", "/v2/", 404),
        ("GET", "/V2", 404),
        ("GET", "/v2/models/flowers/infer", 405),
        ("POST", "/v2", 405),
        ("POST", "/v2/repository/models/flowers/reload", 404),
    ],
)
async def test_paths_are_exact(method: str, path: str, status: int) -> None:
    async with Stage().client() as client:
        answer = await client.request(method, path)
    assert answer.status_code == status
    if status != 200:
        assert set(answer.json()) == ({"error"} if path.startswith("/v2") else answer.json().keys())
        assert answer.headers["x-request-id"]


async def test_what_is_wrong_is_said_in_v2s_shape() -> None:
    async with Stage(max_body_bytes=2000).client() as client:
        for sent, status, words in [
            (json.dumps(body([[60, 20, 3]])).encode(), 400, "features[0, 1] (width): must be between 0 and 10 cm."),
            (json.dumps(body([[60, 2, 3]], shape=[10**12, 4])).encode(), 400, "its data has [1, 3]"),
            (b"{", 400, "not valid JSON"),
            (b" " * 2001, 413, "larger than 2000 bytes"),
        ]:
            answer = await client.post("/v2/models/flowers/infer", content=sent)
            assert answer.status_code == status
            assert answer.json().keys() == {"error"}
            assert words in answer.json()["error"]


async def test_down_and_full_are_told_apart() -> None:
    stage = Stage()
    async with stage.client() as client:
        for error, status in ((Unavailable("The Classifier is not running."), 503), (Overloaded("Full."), 429)):
            stage.classifier.error = error
            answer = await client.post("/v2/models/flowers/infer", json=body([[60, 2, 3]]))
            assert (answer.status_code, answer.json()) == (status, {"error": error.message})
            assert answer.headers["retry-after"]
        stage.classifier.error = RuntimeError("secret")
        answer = await client.post("/v2/models/flowers/infer", json=body([[60, 2, 3]]))
        assert answer.status_code == 500
        assert "secret" not in answer.text
        await stage.lose("classifier")
        for path in ("/v2/health/ready", "/v2/models/flowers/ready"):
            assert (await client.get(path)).status_code == 503
        assert (await client.get("/v2/health/live")).status_code == 200
