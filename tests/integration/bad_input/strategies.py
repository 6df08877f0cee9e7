"""Bodies and messages that hypothesis bends: as JSON, as text, as raw tensors and as protobuf."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from tritonclient.grpc import service_pb2 as pb

from services.tensors import DTYPES


def examples(count: int) -> settings:
    """The same `count` examples in each run."""
    return settings(
        max_examples=count, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )


NASTY = st.sampled_from(
    [
        *(
            b"NaN",
            b"Infinity",
            b"-Infinity",
            b"1e999",
            b"-1e999",
            b"1e-999",
            b"-0",
            b"-0.0",
            b"9" * 400,
            b"1" + b"0" * 5000,
        ),
        *(
            b"0.1" + b"1" * 5000,
            b"1E400",
            b"01",
            b".5",
            b"5.",
            b"+1",
            b"0x10",
            b"9223372036854775808",
            b"18446744073709551616",
        ),
        *(
            b"[" * 5000,
            b"[" * 2000 + b"]" * 2000,
            b'{"a":' * 2000 + b"1" + b"}" * 2000,
            b"true",
            b"null",
            b"''",
            b"undefined",
        ),
        *(
            b'"\xff"',
            b'"\\ud800"',
            b'"\\ud800\\u0000"',
            b'"\\x"',
            b'"a\x00b"',
            b'"a\nb"',
            b'"\xed\xa0\x80"',
            b'"\xf5\x80"',
            b'"',
        ),
        *(
            b"\xef\xbb\xbf",
            b"\xff\xfe",
            b"/**/",
            b",",
            b"{}",
            b"[]",
            b"{",
            b"}",
            b'{"a":1,"a":2}',
            b'"' + b"x" * 40_000 + b'"',
        ),
        *(b'"model":"flowers",', b'"rows":[],', b'"__proto__":1,', b'"":0,', b'{"' + b"k" * 9000 + b'":1}'),
    ]
)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=8,
)


@st.composite
def bent(draw: st.DrawFn, good: Any) -> Any:
    """`good` with one of its values, at any depth, replaced, dropped or doubled."""
    if isinstance(good, dict) and good and draw(st.integers(0, 4)):
        name = draw(st.sampled_from(sorted(good)))
        rest = {key: value for key, value in good.items() if key != name}
        if not draw(st.integers(0, 5)):
            return rest if draw(st.booleans()) else {**good, draw(st.text(max_size=6)): draw(ANYTHING)}
        return {**rest, name: draw(bent(good[name]))}
    if isinstance(good, list) and good and draw(st.integers(0, 4)):
        at = draw(st.integers(0, len(good) - 1))
        many = draw(st.sampled_from([1, 1, 1, 0, 2, 300]))
        return [*good[:at], *[draw(bent(good[at]))] * many, *good[at + 1 :]]
    return draw(ANYTHING)


@st.composite
def bodies(draw: st.DrawFn, good: Any) -> bytes:
    """A body that is bent as JSON, broken as text, both or neither."""
    body = json.dumps(draw(st.just(good) | bent(good)), ensure_ascii=draw(st.booleans())).encode(
        "utf-8", "surrogatepass"
    )
    for _ in range(draw(st.integers(0, 2))):
        start = draw(st.integers(0, len(body)))
        end = draw(st.sampled_from([start, start + 1, start + 5, len(body)]))
        body = body[:start] + draw(NASTY | st.binary(max_size=6)) + body[end:]
    return body


SIZES = st.sampled_from([-1, 0, 1, 2, 3, 4, 2**31, 2**32 - 1, 2**62, 2**63 - 1, 2**63, 10**30])
DATATYPES = st.sampled_from([*DTYPES, "", "fp32", "STRING"])


@st.composite
def binary_requests(draw: st.DrawFn) -> tuple[bytes, dict[str, str]]:
    """A v2 body with tensors behind its JSON, whose sizes may say anything."""
    inputs = []
    for _ in range(draw(st.integers(0, 3))):
        one: dict[str, Any] = {
            "name": draw(st.sampled_from(["features", "x", ""])),
            "datatype": draw(st.just("FP32") | DATATYPES),
            "shape": draw(st.sampled_from([[1, 3], [2, 3], [1, 2], []]) | st.lists(SIZES, max_size=40)),
        }
        if draw(st.integers(0, 4)):
            one["parameters"] = {"binary_data_size": draw(st.sampled_from([12, 24, 8, 4, True, "12", 12.0]) | SIZES)}
        if not draw(st.integers(0, 4)):
            one["data"] = draw(ANYTHING)
        inputs.append(one)
    head = json.dumps({"inputs": inputs, "parameters": {"binary_data_output": draw(st.booleans())}}).encode()
    tail = draw(st.sampled_from([np.array([60, 2, 3], "<f4").tobytes(), b""]) | st.binary(max_size=40))
    length = draw(st.just(str(len(head))) | SIZES.map(str) | st.sampled_from(["", "x", "1_0", "0x1", "9" * 5000]))
    headers = {"inference-header-content-length": length}
    if not draw(st.integers(0, 5)):
        headers["content-encoding"] = draw(st.sampled_from(["gzip", "deflate", "br", "identity", "gzip, gzip", ""]))
    return head + tail, headers


@st.composite
def grpc_requests(draw: st.DrawFn) -> bytes:
    """A message for `ModelInfer`: well formed with any contents, or broken."""
    request = pb.ModelInferRequest(model_name=draw(st.sampled_from(["doubler", "flowers", "doubler", "", "../x"])))
    for _ in range(draw(st.integers(0, 2))):
        given_ = request.inputs.add(name=draw(st.sampled_from(["x", "features", "y"])))
        given_.datatype = draw(st.just("FP32") | DATATYPES)
        sizes = [
            size
            for size in draw(st.sampled_from([[1, 2], [1, 3]]) | st.lists(SIZES, max_size=40))
            if -(2**63) <= size < 2**63
        ]
        given_.shape.extend(sizes)
        if draw(st.booleans()):
            given_.contents.fp32_contents.extend(draw(st.lists(st.floats(width=32), max_size=6)))
        if not draw(st.integers(0, 3)):
            given_.contents.bytes_contents.extend(draw(st.lists(st.binary(max_size=3), max_size=3)))
            given_.contents.int_contents.extend(draw(st.lists(st.integers(-(2**31), 2**31 - 1), max_size=3)))
        if not draw(st.integers(0, 5)):
            given_.parameters[
                draw(st.sampled_from(["classification", "shared_memory_region", "other"]))
            ].int64_param = 1
    for _ in range(draw(st.integers(0, 2))):
        request.raw_input_contents.append(draw(st.binary(max_size=16)))
    if not draw(st.integers(0, 4)):
        request.outputs.add(name=draw(st.sampled_from(["x_doubled", "label", ""])))
    data: bytes = request.SerializeToString()
    if not draw(st.integers(0, 3)):
        at = draw(st.integers(0, len(data)))
        data = data[:at] + draw(st.binary(max_size=4)) + data[at + draw(st.integers(0, 3)) :]
    return data
