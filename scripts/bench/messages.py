"""The requests of the benchmark, and a check that what answers is an iris classifier."""

from __future__ import annotations

import json
import struct
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

import grpc

from scripts.bench.paths import WORK

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

Protocol = Literal["classify", "v2", "grpc"]

FEATURES = ("sepal_length", "sepal_width", "petal_length", "petal_width")
FLOWERS = ((5.0, 3.0, 1.4, 0.2), (5.9, 2.8, 4.3, 1.3), (6.6, 3.0, 5.6, 2.0), (4.7, 3.2, 1.6, 0.2))
"""One row each of setosa, versicolor, virginica and setosa; the requests repeat them."""


PREFIX = 5
"""Bytes before every gRPC message: whether it is compressed, and its length."""


@dataclass(frozen=True)
class Body:
    """A request body and its headers."""

    content: bytes
    headers: dict[str, str] = field(default_factory=lambda: {"content-type": "application/json"})

    def save(self, name: str) -> Path:
        """Write the content where wrk's script reads it."""
        path = WORK / "bodies" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self.content)
        return path


def iris(protocol: Protocol, rows: int, model: str = "iris") -> Body:
    """A request for `rows` predictions; of `classify` by `model`, which is the iris model under some name."""
    flowers = [FLOWERS[index % len(FLOWERS)] for index in range(rows)]
    if protocol == "grpc":
        return _infer_request(flowers)
    if protocol == "classify":
        payload: object = {"model": model, "rows": [dict(zip(FEATURES, flower, strict=True)) for flower in flowers]}
    else:
        flat = [value for flower in flowers for value in flower]
        payload = {"inputs": [{"name": "features", "shape": [rows, 4], "datatype": "FP32", "data": flat}]}
    return Body(json.dumps(payload).encode())


def _infer_request(flowers: Sequence[tuple[float, ...]]) -> Body:
    """A gRPC call's whole body: one message, its tensor raw."""
    from tritonclient.grpc import service_pb2 as pb

    raw = struct.pack(f"<{4 * len(flowers)}f", *(value for flower in flowers for value in flower))
    tensor = {"name": "features", "datatype": "FP32", "shape": [len(flowers), 4]}
    request: Any = pb.ModelInferRequest(model_name="iris", inputs=[tensor], raw_input_contents=[raw])
    message = request.SerializeToString()
    headers = {"content-type": "application/grpc", "te": "trailers"}
    return Body(struct.pack(">?I", False, len(message)) + message, headers)


def call(url: str, body: Body, timeout: float = 5.0) -> bytes | None:
    """The message that answers one gRPC call, as bytes; None when there is none."""
    parts = urlsplit(url)
    with grpc.insecure_channel(parts.netloc) as channel:
        method: Any = channel.unary_unary(parts.path)
        try:
            answer: bytes = method(body.content[PREFIX:], timeout=timeout)
        except grpc.RpcError:
            return None
    return answer


def post(url: str, body: Body, timeout: float = 5.0) -> tuple[int, bytes]:
    """Status and body of one request; status 0 when nobody answers."""
    request = urllib.request.Request(url, data=body.content, headers=body.headers, method="POST")  # noqa: S310 - http only
    try:
        with urllib.request.urlopen(request, timeout=timeout) as answer:  # noqa: S310
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()
    except OSError:
        return 0, b""


def get(url: str, timeout: float = 5.0) -> tuple[int, bytes]:
    """Status and body of one GET; status 0 when nobody answers."""
    try:
        with urllib.request.urlopen(url, timeout=timeout) as answer:  # noqa: S310
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()
    except OSError:
        return 0, b""


def answers_iris(url: str, protocol: Protocol) -> bool:
    """Whether the server calls the first flower a setosa."""
    if protocol == "grpc":
        return b"setosa" in (call(url, iris(protocol, 1)) or b"")
    status, content = post(url, iris(protocol, 1))
    return status == 200 and b"setosa" in content  # noqa: PLR2004 - HTTP's OK
