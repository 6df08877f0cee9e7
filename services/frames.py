"""The tensor frame: what crosses the hop between the gateway and the Classifier.

Layout, all integers little-endian::

    4 bytes   magic "TDM1"
    4 bytes   length of the header, uint32
    n bytes   header: MessagePack of `FrameHeader`
    rest      the tensors' raw bytes (`services/tensors.py`), one after another in the header's order

No pickle, one copy, and every declared size is checked against the bytes that came before anything is allocated.
"""

from __future__ import annotations

import math
import struct
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from services.errors import InvalidInput
from services.tensors import count_of, datatype_of, dtype_of, parse_bytes, parse_fixed, shaped, to_raw

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

CONTENT_TYPE = "application/vnd.tandem.frame"
_PREFIX = struct.Struct("<4sI")
_MAGIC = b"TDM1"
_MAX_HEADER = 64 * 1024


class TensorHeader(msgspec.Struct, array_like=True, frozen=True):
    """Name, v2 datatype and shape of one tensor."""

    name: str
    datatype: str
    shape: tuple[int, ...]


class FrameHeader(msgspec.Struct, array_like=True, frozen=True):
    """What a frame is about."""

    model: str
    version: str
    tensors: tuple[TensorHeader, ...]
    traceparent: str = ""
    """The sender's span, where it is sampled, as W3C Trace Context writes it. Here and not in the request's head, which thus stays the
    same and need not be parsed again (`services/known_head.py`); so with the rest.
    """
    tracestate: str = ""
    timeout: float = math.inf
    """Seconds that the sender still waits for the answer."""


_encode_header = msgspec.msgpack.Encoder().encode
_decode_header = msgspec.msgpack.Decoder(FrameHeader).decode


def encode_frame(
    model: str,
    version: str,
    tensors: Mapping[str, NDArray[np.generic]],
    *,
    traceparent: str = "",
    tracestate: str = "",
    timeout: float = math.inf,
) -> bytes:
    """One frame as bytes. Tensors of a dtype that v2 does not have raise KeyError: a bug of the caller."""
    arrays = [np.asarray(array, array.dtype.newbyteorder("<"), order="C") for array in tensors.values()]
    described = tuple(
        TensorHeader(name, datatype_of(array), array.shape) for name, array in zip(tensors, arrays, strict=True)
    )
    header = _encode_header(FrameHeader(model, version, described, traceparent, tracestate, timeout))
    return b"".join((_PREFIX.pack(_MAGIC, len(header)), header, *(to_raw(array) for array in arrays)))


def decode_frame(data: bytes) -> tuple[FrameHeader, dict[str, NDArray[np.generic]]]:
    """Header and tensors of a frame; the arrays are read-only views of `data`.

    Raises InvalidInput when the bytes are not exactly one well-formed frame.
    """
    if len(data) < _PREFIX.size:
        raise InvalidInput("The frame is shorter than its prefix.")
    magic, header_size = _PREFIX.unpack_from(data)
    start = _PREFIX.size + header_size
    if magic != _MAGIC or header_size > _MAX_HEADER or start > len(data):
        raise InvalidInput("The body is not a tensor frame.")
    try:
        header = _decode_header(memoryview(data)[_PREFIX.size : start])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidInput(f"The frame's header is malformed: {error}.") from None
    tensors: dict[str, NDArray[np.generic]] = {}
    for tensor in header.tensors:
        array, start = _tensor(data, tensor, start)
        tensors[tensor.name] = array
    if start != len(data):
        raise InvalidInput(f"The frame has {len(data) - start} surplus bytes.")
    return header, tensors


def _tensor(data: bytes, tensor: TensorHeader, start: int) -> tuple[NDArray[np.generic], int]:
    name = tensor.name
    dtype = dtype_of(name, tensor.datatype)
    count = count_of(name, tensor.shape)
    if dtype.hasobject:
        array, end = parse_bytes(name, count, data, start)
    else:
        end = start + count * dtype.itemsize
        if end > len(data):
            raise InvalidInput(f"Tensor {name!r} declares more elements than the frame holds.", param=name)
        array = parse_fixed(name, dtype, count, data, start)
    return shaped(name, array, tensor.shape), end
