"""What is fuzzed: each takes any bytes, and raises only where Tandem breaks a promise.

A decoder answers or refuses with a `ServingError`, whatever comes; what it has read it can write again; a stream means the same in
whichever pieces it arrives.
"""

from __future__ import annotations

import json
import struct
from functools import cache
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from msgspec.structs import replace

from models.spec import Feature, ModelSpec, TensorSpec
from services.errors import InvalidInput, ServingError
from services.frames import decode_frame, encode_frame
from services.gateway.control.tokens import read_ask, read_usage
from services.gateway.native.schemas import RequestDecoder
from services.gateway.oip.payloads import decode_request, encode_answer
from services.gateway.openai.streaming import relayed
from services.gateway.rpc.wire.frames import ViolationError
from services.gateway.rpc.wire.heads import HeadReader, MalformedError
from services.gateway.rpc.wire.reader import FrameReader
from services.gateway.sse import text_of
from services.settings.control import AdmissionSettings
from services.tensors import DTYPES, from_raw, to_raw
from services.unpacking import FORMATS, unpacked

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from services.gateway.streamed import Taker

_ADMISSION = AdmissionSettings()
_UNPACKED = 2**16


def frame(data: bytes) -> None:
    """Tensor frames of the hop: what is read is written as a frame that reads the same."""
    try:
        header, tensors = decode_frame(data)
    except InvalidInput:
        return
    told = {"traceparent": header.traceparent, "tracestate": header.tracestate}
    again, same = decode_frame(encode_frame(header.model, header.version, tensors, timeout=header.timeout, **told))
    assert repr(replace(again, tensors=())) == repr(replace(header, tensors=()))  # a timeout may be no number
    assert [to_raw(tensor) for tensor in same.values()] == [to_raw(tensor) for tensor in tensors.values()]


def raw_tensor(data: bytes) -> None:
    """One raw tensor, of the datatype and shape that the first bytes say: its bytes come back, for any datatype."""
    if len(data) < 1 + 1:
        return
    datatype = [*DTYPES][data[0] % len(DTYPES)]
    dimensions = data[1] % 6
    shape = [size - 2 for size in data[2 : 2 + dimensions]]
    rest = data[2 + dimensions :]
    try:
        tensor = from_raw("x", datatype, shape, rest)
    except InvalidInput:
        return
    assert list(tensor.shape) == shape
    assert to_raw(tensor) == rest


def infer_request(data: bytes) -> None:
    """Bodies of `/v2/.../infer`, with the length of their JSON in the first two bytes: the tensors can be given back."""
    if len(data) < 1 + 1:
        return
    (length,) = struct.unpack_from("<H", data)
    try:
        request = decode_request(data[2:], None if length == 2**16 - 1 else str(length))
        encode_answer(_flowers(), request, request.tensors)
    except ServingError:
        return


def native_request(data: bytes) -> None:
    """Bodies of `/classify`: what is taken is within the features' ranges."""
    try:
        _, request = _rows_of()(data)
    except ServingError:
        return
    assert all(0 <= row.f0 <= 10 for row in request.rows)  # noqa: PLR2004 - the range of its only feature


def llm_request(data: bytes) -> None:
    """Bodies for the language model: what is read of them is what Python, and so vLLM, reads."""
    read_usage(data)
    try:
        data.decode()  # as the gateway does before
        ask = read_ask(data, _ADMISSION)
        meant = json.loads(data)
    except (ServingError, UnicodeDecodeError, RecursionError):
        return
    model = meant.get("model")
    assert ask.model == (model if isinstance(model, str) else None)
    assert ask.streams == (meant.get("stream") is True)
    assert ask.tokens > 0


def events(data: bytes) -> None:
    """Server-sent events: relayed byte for byte, and read line by line."""
    pieces = data.split(b"\xff")
    stream = b"".join(pieces)
    heard = b"".join(_all_of(relayed(cast("Any", _Response(pieces)), lambda _: False)))
    if b'data: {"error"' not in stream:
        assert heard == stream
    for line in stream.splitlines(keepends=True):
        try:
            text_of(line)
        except ServingError:
            continue


def packed(data: bytes) -> None:
    """Compressed bodies: never larger than their limit."""
    for how in FORMATS:
        try:
            assert len(unpacked(data, how, _UNPACKED, "The body")) <= _UNPACKED
        except ServingError:
            continue


def http2(data: bytes) -> None:
    """HTTP/2 frames and header blocks: the same frames in whichever pieces they come."""
    whole = _frames((data,))
    assert whole == _frames(data[at : at + 1] for at in range(len(data)))
    heads = HeadReader()
    for _, _, _, payload in whole:
        try:
            head = heads.read(payload)
            assert heads.read(payload) == head
        except MalformedError:
            continue
        except ViolationError:
            return


def _frames(pieces: Any) -> list[Any]:
    reader = FrameReader()
    found: list[Any] = []
    try:
        for piece in pieces:
            found += reader.feed(piece)
    except ViolationError:
        return found
    return found


class _Response:
    """As much of an answer as `relayed` needs."""

    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = pieces
        self.content = self

    async def iter_any(self) -> AsyncIterator[bytes]:
        """The pieces."""
        for piece in self._pieces:
            yield piece

    def offer_to(self, taker: Taker) -> None:
        """Nobody takes anything past the reader."""


def _all_of(stream: AsyncIterator[bytes]) -> Iterator[bytes]:
    """What a stream gives that waits for nothing."""
    while True:
        try:
            stream.__anext__().__await__().__next__()
        except StopIteration as given:
            yield given.value
        except StopAsyncIteration:
            return


@cache
def _flowers() -> ModelSpec:
    return ModelSpec.model_validate(
        {
            "name": "flowers",
            "version": "v1",
            "framework": "onnx",
            "description": "For fuzzing.",
            "features": (Feature(name="height", description="", unit=None, low=0, high=10),),
            "labels": ("small", "large"),
            "inputs": (TensorSpec(name="features", datatype="FP32", shape=(-1, 1)),),
            "outputs": (TensorSpec(name="probabilities", datatype="FP32", shape=(-1, 2)),),
            "trained_at": "2026-01-01T00:00:00Z",
            "data_source": "Made up.",
        }
    )


@cache
def _rows_of() -> RequestDecoder[Any]:
    return RequestDecoder((_flowers(),), "rows", 100)


def seeds() -> dict[str, list[bytes]]:
    """A few good inputs of each target, to begin from."""
    rows = np.array([[1, 2], [3, 4]], np.float32)
    words = np.array([b"a", b"\xff\x00"], object)
    body = json.dumps(
        {"inputs": [{"name": "features", "datatype": "FP32", "shape": [2, 1], "data": [1, 2.5]}]}
    ).encode()
    head = json.dumps(
        {
            "id": "1",
            "inputs": [{"name": "w", "datatype": "BYTES", "shape": [1], "parameters": {"binary_data_size": 5}}],
            "outputs": [{"name": "w", "parameters": {"binary_data": True}}],
        }
    ).encode()
    chat = b'{"model": "m", "messages": [{"role": "user", "content": "x"}], "stream": true, "max_tokens": 5, "n": 2}'
    hello = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes.fromhex("000000040000000000")
    call = bytes.fromhex("83864401 2f") + b"\x40\x0cgrpc-timeout\x025S"
    return {
        "frame": [
            encode_frame("m", "v1", {"x": rows, "w": words}, traceparent="1", timeout=1.0),
            encode_frame("m", "v1", {}),
        ],
        "raw_tensor": [bytes((11, 2, 4, 4)) + rows.tobytes(), bytes((13, 1, 4)) + to_raw(words), bytes((0, 0, 1))],
        "infer_request": [b"\xff\xff" + body, struct.pack("<H", len(head)) + head + b"\x01\x00\x00\x00a"],
        "native_request": [b'{"model": "flowers", "rows": [{"height": 1.5}], "version": "v1"}', b"[NaN]"],
        "llm_request": [chat, b'{"prompt": [[1], [2]], "stream_options": {"include_usage": true}, "input": "a"}'],
        "events": [
            b'data: {"choices": [{"delta": {"content": "a"}}]}\n\n\xffdata: [DONE]\n\n',
            b'data: {"error": {"code": 400}}\n\n',
        ],
        "packed": [bytes.fromhex("789c4b4c040000c300c2"), b"\x1f\x8b\x08\x00" + bytes(14)],
        "http2": [hello + len(call).to_bytes(3, "big") + b"\x01\x05" + (1).to_bytes(4, "big") + call],
    }


TARGETS: dict[str, Callable[[bytes], None]] = {
    one.__name__: one for one in (frame, raw_tensor, infer_request, native_request, llm_request, events, packed, http2)
}
"""By name."""
