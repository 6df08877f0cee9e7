"""Bodies of `POST .../infer`: JSON, with tensors as JSON values or, by the binary tensor data extension, behind it.

The body is then the JSON, whose length the header `Inference-Header-Content-Length` gives, and the raw bytes of the binary
tensors, one after another in the order of the JSON.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from services.errors import InvalidInput, Unsupported
from services.gateway.oip.values import from_json, to_json
from services.tensors import datatype_of, from_raw, to_raw

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from models.spec import ModelSpec
    from services.tensors import Tensor

_NO_DATA = msgspec.Raw()
_NOT_OFFERED = ("shared_memory_region", "classification")
_PLACE = re.compile(r"^(?P<problem>.*) - at `\$\.?(?P<path>.*)`$", re.DOTALL)


class _Input(msgspec.Struct):
    name: str
    datatype: str
    shape: list[int]
    data: msgspec.Raw = _NO_DATA
    parameters: dict[str, Any] | None = None


class _Output(msgspec.Struct):
    name: str
    parameters: dict[str, Any] | None = None


class _Request(msgspec.Struct):
    inputs: list[_Input]
    id: str | None = None
    outputs: list[_Output] | None = None
    parameters: dict[str, Any] | None = None


class _TensorAnswer(msgspec.Struct, omit_defaults=True):
    name: str
    datatype: str
    shape: tuple[int, ...]
    parameters: dict[str, int] | None = None
    data: list[Any] | None = None


class _Answer(msgspec.Struct, omit_defaults=True):
    model_name: str
    model_version: str
    outputs: list[_TensorAnswer]
    id: str | None = None


_decode = msgspec.json.Decoder(_Request).decode
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class InferRequest:
    """What is asked of a model."""

    id: str | None
    tensors: dict[str, Tensor]
    outputs: tuple[str, ...]
    """Names of the outputs that are wanted; all when there is none."""
    binary: Mapping[str, bool]
    """Whether an output is wanted as raw bytes, where the request says so of that output."""
    binary_by_default: bool


def decode_request(body: bytes, json_length: str | None) -> InferRequest:
    """A request from its body and its `Inference-Header-Content-Length`. Raises InvalidInput, naming the field."""
    if json_length is None:
        head, tail = memoryview(body), memoryview(b"")
    else:
        head, tail = _parted(body, json_length)
    request = _request(head)
    tensors = _tensors(request.inputs, tail)
    parameters = request.parameters or {}
    outputs = request.outputs or ()
    return InferRequest(
        request.id,
        tensors,
        tuple(output.name for output in outputs),
        {output.name: wish for output in outputs if (wish := _wish(output)) is not None},
        _flag(parameters, "binary_data_output", "parameters") or False,
    )


def encode_answer(spec: ModelSpec, request: InferRequest, outputs: Mapping[str, Tensor]) -> tuple[bytes, int | None]:
    """The body that answers `request`, and the length of its JSON when binary tensors follow it, else None."""
    described: list[_TensorAnswer] = []
    parts: list[bytes] = []
    for name, array in outputs.items():
        tensor = _TensorAnswer(name, datatype_of(array), array.shape)
        if request.binary.get(name, request.binary_by_default):
            parts.append(to_raw(array))
            tensor.parameters = {"binary_data_size": len(parts[-1])}
        else:
            tensor.data = to_json(name, array)
        described.append(tensor)
    head = _encode(_Answer(spec.name, spec.version, described, request.id))
    return (b"".join((head, *parts)), len(head)) if parts else (head, None)


def _parted(body: bytes, json_length: str) -> tuple[memoryview, memoryview]:
    size = int(json_length) if json_length.isascii() and json_length.isdigit() and len(json_length) < 16 else -1  # noqa: PLR2004 - digits of any size that can be
    if not 0 <= size <= len(body):
        raise InvalidInput(
            f"Inference-Header-Content-Length: must be a length within the body, which has {len(body)} bytes.",
            param="Inference-Header-Content-Length",
        )
    view = memoryview(body)
    return view[:size], view[size:]


def _request(head: memoryview) -> _Request:
    try:
        return _decode(head)
    except msgspec.ValidationError as error:
        found = _PLACE.match(str(error))
        problem, path = (found["problem"], found["path"]) if found else (str(error), "")
        raise InvalidInput(f"{path}: {problem}." if path else f"{problem}.", param=path or None) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        literal = next((name for name in (b"NaN", b"Infinity") if name in bytes(head)), b"").decode()
        hint = f" JSON has no {literal}." if literal else ""
        raise InvalidInput(f"The body is not valid JSON: {error}.{hint}") from None


def _tensors(inputs: Iterable[_Input], tail: memoryview) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = {}
    start = 0
    for given in inputs:
        if given.name in tensors:
            raise InvalidInput(f"Input {given.name!r} is given twice.", param=given.name)
        size = _binary_size(given)
        if size is None:
            tensors[given.name] = from_json(given.name, given.datatype, given.shape, given.data)
            continue
        if start + size > len(tail):
            raise InvalidInput(
                f"Tensor {given.name!r} announces {size} bytes; {len(tail) - start} are left of the body.",
                param=given.name,
            )
        tensors[given.name] = from_raw(given.name, given.datatype, given.shape, tail[start : start + size])
        start += size
    if start != len(tail):
        raise InvalidInput(f"The body has {len(tail) - start} surplus bytes behind its tensors.")
    return tensors


def _binary_size(given: _Input) -> int | None:
    """How many raw bytes an input has; None when its data is in the JSON."""
    parameters = given.parameters or {}
    _refuse(parameters, given.name)
    size = parameters.get("binary_data_size")
    has_data = len(given.data) > 0
    if size is None:
        if not has_data:
            raise InvalidInput(f"Input {given.name!r} has neither data nor a binary_data_size.", param=given.name)
        return None
    if has_data:
        raise InvalidInput(f"Input {given.name!r} has both data and a binary_data_size.", param=given.name)
    if type(size) is not int or size < 0:
        raise InvalidInput(f"Input {given.name!r} needs a number of bytes as its binary_data_size.", param=given.name)
    return size


def _wish(output: _Output) -> bool | None:
    parameters = output.parameters or {}
    _refuse(parameters, output.name)
    return _flag(parameters, "binary_data", f"Output {output.name!r}")


def _flag(parameters: Mapping[str, Any], name: str, where: str) -> bool | None:
    value = parameters.get(name)
    if value is not None and not isinstance(value, bool):
        raise InvalidInput(f"{where}: {name} must be a boolean.", param=name)
    return value


def _refuse(parameters: Mapping[str, Any], tensor: str) -> None:
    """What would change the answer must not be passed over in silence, as other parameters are."""
    for name in _NOT_OFFERED:
        if name in parameters:
            raise Unsupported(f"Tensor {tensor!r}: Tandem does not offer {name!r}.", param=tensor)
