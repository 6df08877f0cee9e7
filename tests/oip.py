"""Calls of the Open Inference Protocol over gRPC, for tests of it and of the server below it."""

from __future__ import annotations

from typing import Any

import grpc
import numpy as np
import pytest
from tritonclient.grpc import service_pb2 as pb


def asked(*row: float, **fields: Any) -> pb.ModelInferRequest:
    features = {"name": "features", "datatype": "FP32", "shape": [1, len(row)]}
    raw = np.array(row, "<f4").tobytes()
    return pb.ModelInferRequest(
        **{"model_name": "flowers", "inputs": [features], "raw_input_contents": [raw], **fields}
    )


async def answer_of(call: Any) -> Any:
    """A coroutine, of which asyncio makes a task."""
    return await call


async def code_of(call: Any) -> grpc.StatusCode:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    code: grpc.StatusCode = caught.value.code()
    return code
