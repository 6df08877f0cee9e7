from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING

import numpy as np
from tritonclient.grpc import service_pb2 as pb

from scripts.bench.engines import binary_body, bulk_rows, json_body
from scripts.bench.messages import FLOWERS, PREFIX, iris

if TYPE_CHECKING:
    from models.spec import ModelSpec


def test_both_protocols_carry_the_same_flowers() -> None:
    classify = json.loads(iris("classify", 6).content)
    tensor = json.loads(iris("v2", 6).content)["inputs"][0]
    assert tensor["shape"] == [6, 4]
    assert [value for row in classify["rows"] for value in row.values()] == tensor["data"]
    assert tuple(classify["rows"][4].values()) == FLOWERS[0]


def test_grpc_carries_them_raw() -> None:
    body = iris("grpc", 5).content
    assert struct.unpack(">?I", body[:PREFIX]) == (False, len(body) - PREFIX)
    request = pb.ModelInferRequest.FromString(body[PREFIX:])
    assert list(request.inputs[0].shape) == [5, 4]
    sent = np.frombuffer(request.raw_input_contents[0], "<f4").reshape(5, 4)
    assert np.allclose(sent, [*FLOWERS, FLOWERS[0]])


def test_bulk_bodies_hold_the_rows_and_stay_in_range(iris_spec: ModelSpec) -> None:
    rows = bulk_rows(iris_spec)
    assert rows.shape == (1000, 4)
    for column, feature in enumerate(iris_spec.features):
        assert feature.low <= rows[:, column].min() <= rows[:, column].max() <= feature.high
    sent = json.loads(json_body(iris_spec, rows).content)["rows"]
    assert len(sent) == 1000
    assert list(sent[0]) == [feature.name for feature in iris_spec.features]


def test_the_binary_body_says_where_its_header_ends(iris_spec: ModelSpec) -> None:
    rows = bulk_rows(iris_spec)
    body = binary_body(rows)
    length = int(body.headers["Inference-Header-Content-Length"])
    head = json.loads(body.content[:length])
    assert head["inputs"][0]["parameters"]["binary_data_size"] == len(body.content) - length == rows.nbytes
    assert body.content[length:] == rows.tobytes()
