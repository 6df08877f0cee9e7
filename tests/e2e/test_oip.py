"""The Open Inference Protocol with the clients that people use for it: tritonclient over HTTP and gRPC, and reflection."""

from __future__ import annotations

import asyncio
import queue
import socket
from typing import TYPE_CHECKING, Any

import grpc
import numpy as np
import pytest
import tritonclient.grpc as triton_grpc
import tritonclient.grpc.aio as triton_grpc_aio
import tritonclient.http as triton_http
import tritonclient.http.aio as triton_http_aio
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from tritonclient.utils import InferenceServerException

from models import store
from tests.e2e.rows import IRIS, middle_row

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.e2e.server import Server

ROW = np.array([list(IRIS.values())], np.float32)
PROTOCOLS = ("http", "grpc")


class Triton:
    """tritonclient over one of its protocols; the two differ in little but the module."""

    def __init__(self, server: Server, protocol: str) -> None:
        self.module: Any = triton_http if protocol == "http" else triton_grpc
        port = server.port if protocol == "http" else server.grpc_port
        self.client: Any = self.module.InferenceServerClient(f"127.0.0.1:{port}")

    def features(self, rows: np.ndarray[Any, Any], datatype: str = "FP32", name: str = "features") -> Any:
        made = self.module.InferInput(name, list(rows.shape), datatype)
        return made.set_data_from_numpy(rows)

    def infer(self, rows: np.ndarray[Any, Any], model: str = "iris", **options: Any) -> Any:
        return self.client.infer(model, [self.features(rows)], **options)


@pytest.fixture(scope="module", params=PROTOCOLS)
def triton(request: pytest.FixtureRequest, server: Server) -> Iterator[Triton]:
    made = Triton(server, request.param)
    yield made
    made.client.close()


def test_server_and_models_are_ready(triton: Triton) -> None:
    assert triton.client.is_server_live()
    assert triton.client.is_server_ready()
    assert triton.client.is_model_ready("iris")
    assert not triton.client.is_model_ready("tulip")
    options = {"as_json": True} if triton.module is triton_grpc else {}
    metadata = triton.client.get_model_metadata("iris", **options)
    assert metadata["platform"] == "scikit-learn"
    assert [one["name"] for one in metadata["outputs"]] == ["label", "probabilities"]
    assert triton.client.is_model_ready("iris", metadata["versions"][0])
    index: Any = triton.client.get_model_repository_index(**options)
    ready = {one["name"] for one in (index["models"] if options else index) if one["state"] == "READY"}
    assert {"digits", "fraud", "iris"} <= ready


def test_every_model_answers_as_classify_does(triton: Triton, server: Server, home: Path) -> None:
    for spec in store.list_specs(folder=home / "models"):
        row = middle_row(spec)
        native = server.http.post("/classify", json={"model": spec.name, "rows": [row]}).json()["predictions"][0]
        rows = np.array([list(row.values())] * 3, np.float32)
        answer = triton.infer(rows, spec.name, request_id="r-1")
        assert [bytes(label) for label in answer.as_numpy("label")] == [native["label"].encode()] * 3
        expected = [list(native["probabilities"].values())] * 3
        np.testing.assert_allclose(answer.as_numpy("probabilities"), expected, atol=2e-6)
        response = answer.get_response()
        assert (response["id"] if isinstance(response, dict) else response.id) == "r-1"


def test_outputs_that_are_asked_for_alone(triton: Triton) -> None:
    answer = triton.infer(ROW, outputs=[triton.module.InferRequestedOutput("probabilities")])
    assert answer.as_numpy("probabilities").shape == (1, 3)
    assert answer.as_numpy("label") is None


@pytest.mark.parametrize("binary_in", [False, True])
@pytest.mark.parametrize("binary_out", [False, True])
def test_json_and_binary_tensors_in_both_directions(server: Server, binary_in: bool, binary_out: bool) -> None:
    client = triton_http.InferenceServerClient(f"127.0.0.1:{server.port}")
    features = triton_http.InferInput("features", list(ROW.shape), "FP32")
    features.set_data_from_numpy(ROW, binary_data=binary_in)
    outputs = [triton_http.InferRequestedOutput(name, binary_data=binary_out) for name in ("label", "probabilities")]
    answer = client.infer("iris", [features], outputs=outputs)
    assert list(answer.as_numpy("label")) == [b"setosa" if binary_out else "setosa"]
    assert answer.as_numpy("probabilities")[0, 0] > 0.9


@pytest.mark.parametrize("algorithm", ["gzip", "deflate"])
def test_a_compressed_request(server: Server, algorithm: str) -> None:
    answer = Triton(server, "http").infer(ROW, request_compression_algorithm=algorithm)
    assert list(answer.as_numpy("label")) == [b"setosa"]


@pytest.mark.parametrize(
    ("rows", "datatype", "name", "model", "status", "words"),
    [
        (ROW[:, :3], "FP32", "features", "iris", "INVALID_ARGUMENT", "takes [-1, 4]"),
        (ROW[0], "FP32", "features", "iris", "INVALID_ARGUMENT", "takes [-1, 4]"),
        (ROW.astype(np.int32), "INT32", "features", "iris", "INVALID_ARGUMENT", "takes FP32 or FP64"),
        (ROW, "FP32", "rows", "iris", "INVALID_ARGUMENT", "no input 'rows'"),
        (ROW * np.float32(np.nan), "FP32", "features", "iris", "INVALID_ARGUMENT", "must be a finite number"),
        (ROW * 1000, "FP32", "features", "iris", "INVALID_ARGUMENT", "must be between 0 and 20 cm"),
        (ROW, "FP32", "features", "tulip", "NOT_FOUND", "no model 'tulip'"),
    ],
)
def test_what_is_wrong_is_said(
    triton: Triton, rows: np.ndarray[Any, Any], datatype: str, name: str, model: str, status: str, words: str
) -> None:
    with pytest.raises(InferenceServerException) as caught:
        triton.client.infer(model, [triton.features(rows, datatype, name)])
    assert words in caught.value.message()
    http = {"INVALID_ARGUMENT": "400", "NOT_FOUND": "404"}[status]
    assert caught.value.status() == (http if triton.module is triton_http else f"StatusCode.{status}")


async def test_no_bad_request_hurts_a_good_one(server: Server) -> None:
    rows = np.repeat(ROW, 64, axis=0) + np.arange(64, dtype=np.float32)[:, None] / 50
    bad = [ROW[:, :2], ROW * np.float32(np.nan), ROW * 1000, ROW[None]]
    expected = Triton(server, "http").infer(rows).as_numpy("probabilities")
    async with (
        triton_http_aio.InferenceServerClient(f"127.0.0.1:{server.port}") as http,
        triton_grpc_aio.InferenceServerClient(f"127.0.0.1:{server.grpc_port}") as rpc,
    ):

        async def ask(index: int) -> Any:
            client, module = ((http, triton_http_aio), (rpc, triton_grpc_aio))[index // 2 % 2]
            given = bad[index // 4 % 4] if index % 2 else rows[index : index + 1]
            features = module.InferInput("features", list(given.shape), "FP32").set_data_from_numpy(given)
            return await client.infer("iris", [features])

        for _ in range(5):
            answers: list[Any] = await asyncio.gather(*(ask(index) for index in range(64)), return_exceptions=True)
            for index, answer in enumerate(answers):
                if index % 2:
                    assert isinstance(answer, InferenceServerException)
                    assert answer.status() in {"400", "StatusCode.INVALID_ARGUMENT"}
                else:
                    np.testing.assert_allclose(answer.as_numpy("probabilities")[0], expected[index], atol=1e-6)


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_concurrent_single_rows_share_batches(server: Server, protocol: str) -> None:
    before = server.metric("tandem_batch_rows_count")
    module = triton_http_aio if protocol == "http" else triton_grpc_aio
    port = server.port if protocol == "http" else server.grpc_port
    async with module.InferenceServerClient(f"127.0.0.1:{port}") as client:
        features = module.InferInput("features", [1, 4], "FP32").set_data_from_numpy(ROW)
        answers = await asyncio.gather(*(client.infer("iris", [features]) for _ in range(512)))
    assert all(answer.as_numpy("label")[0] == b"setosa" for answer in answers)
    assert server.metric("tandem_batch_rows_count") - before < 400


def test_a_stream_goes_on_after_a_bad_request(server: Server) -> None:
    client = Triton(server, "grpc")
    came: queue.Queue[Any] = queue.Queue()
    client.client.start_stream(lambda result, error: came.put((result, error)))
    for index in range(20):
        rows = ROW if index % 4 else ROW[:, :2]
        client.client.async_stream_infer("iris", [client.features(rows)], request_id=str(index))
    for index in range(20):
        result, error = came.get(timeout=10)
        if index % 4:
            assert result.get_response().id == str(index)
        else:
            assert "takes [-1, 4]" in error.message()
    client.client.stop_stream()


def test_a_shape_that_lies_costs_nothing(server: Server) -> None:
    tensor = {"name": "features", "datatype": "FP32", "shape": [10**12, 4], "data": [1, 2, 3, 4]}
    before = server.worker("Gateway").memory_info().rss
    for _ in range(50):
        answer = server.http.post("/v2/models/iris/infer", json={"inputs": [tensor]})
        assert answer.status_code == 400
        assert answer.json().keys() == {"error"}
    assert server.worker("Gateway").memory_info().rss - before < 64 * 2**20


def test_a_body_and_a_message_over_the_limit(server: Server) -> None:
    rows = np.zeros((17 * 2**16, 4), np.float32)
    for protocol, status in (("http", "413"), ("grpc", "StatusCode.RESOURCE_EXHAUSTED")):
        with pytest.raises(InferenceServerException) as caught:
            Triton(server, protocol).infer(rows)
        assert caught.value.status() == status


def test_the_repository_loads_and_unloads(triton: Triton, server: Server) -> None:
    triton.client.unload_model("digits")
    try:
        assert not triton.client.is_model_ready("digits")
        assert server.http.post("/v2/models/digits/infer", json={"inputs": []}).status_code == 404
    finally:
        triton.client.load_model("digits")
    assert triton.client.is_model_ready("digits")
    with pytest.raises(InferenceServerException, match="tulip"):
        triton.client.load_model("tulip")


def test_health_and_reflection_as_tools_use_them(server: Server) -> None:
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
        health = health_pb2_grpc.HealthStub(channel)
        for name in ("", "inference.GRPCInferenceService", "tandem.v1.InferenceService"):
            assert health.Check(health_pb2.HealthCheckRequest(service=name)).status == 1
        with pytest.raises(grpc.RpcError) as caught:
            health.Check(health_pb2.HealthCheckRequest(service="nope"))
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND
        database = ProtoReflectionDescriptorDatabase(channel)
        assert {"inference.GRPCInferenceService", "tandem.v1.InferenceService"} <= set(database.get_services())
        # What grpcurl does: learn a method from the server, then call it with nothing compiled in.
        service = DescriptorPool(database).FindServiceByName("inference.GRPCInferenceService")
        method = service.methods_by_name["ServerMetadata"]
        request, response = GetMessageClass(method.input_type), GetMessageClass(method.output_type)
        call = channel.unary_unary(
            f"/{service.full_name}/{method.name}", request.SerializeToString, response.FromString
        )
        answer: Any = call(request())
        assert answer.name == "tandem"


def test_grpc_listens_where_http_does(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.grpc_port)):
        pass
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.2", server.grpc_port)).close()
