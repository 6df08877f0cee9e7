"""Tensors in the protocol's gRPC messages: raw bytes, or typed contents."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from tritonclient.grpc import service_pb2 as pb

from services.errors import InvalidInput, Unsupported
from services.tensors import BYTES, count_of, datatype_of, dtype_of, from_raw, object_array, shaped, to_raw

if TYPE_CHECKING:
    from collections.abc import Mapping

    from models.spec import ModelSpec
    from services.tensors import Tensor

_CONTENTS = {
    "BOOL": "bool_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    BYTES: "bytes_contents",
}
"""The field of `InferTensorContents` for each datatype that has one."""
_NOT_OFFERED = ("shared_memory_region", "classification")


def tensors_of(request: pb.ModelInferRequest) -> dict[str, Tensor]:
    """The inputs by name. Raises InvalidInput, naming the tensor, when datatype, shape and data do not fit together."""
    raw = request.raw_input_contents
    if raw and len(raw) != len(request.inputs):
        raise InvalidInput(f"There are {len(request.inputs)} inputs and {len(raw)} raw_input_contents.")
    tensors: dict[str, Tensor] = {}
    for position, given in enumerate(request.inputs):
        name = given.name
        if name in tensors:
            raise InvalidInput(f"Input {name!r} is given twice.", param=name)
        _refuse(given)
        if not raw:
            tensors[name] = _from_contents(given)
        elif given.HasField("contents"):
            raise InvalidInput(f"Input {name!r} has both raw and typed contents.", param=name)
        else:
            tensors[name] = from_raw(name, given.datatype, given.shape, raw[position])
    return tensors


def outputs_of(request: pb.ModelInferRequest) -> tuple[str, ...]:
    """Names of the outputs that are wanted; all when there is none."""
    if not request.outputs:
        return ()
    for output in request.outputs:
        _refuse(output)
    return tuple(output.name for output in request.outputs)


def answer_to(request: pb.ModelInferRequest, spec: ModelSpec, outputs: Mapping[str, Tensor]) -> pb.ModelInferResponse:
    """The response: raw when the request is, or when an output has no typed contents, else typed."""
    answer = pb.ModelInferResponse(model_name=spec.name, model_version=spec.version, id=request.id)
    datatypes = {name: datatype_of(array) for name, array in outputs.items()}
    typed = not request.raw_input_contents and all(datatype in _CONTENTS for datatype in datatypes.values())
    for name, array in outputs.items():
        tensor = answer.outputs.add(name=name, datatype=datatypes[name], shape=array.shape)
        if typed:
            getattr(tensor.contents, _CONTENTS[datatypes[name]]).extend(array.ravel().tolist())
        else:
            answer.raw_output_contents.append(to_raw(array))
    return answer


def _from_contents(given: Any) -> Tensor:
    name, datatype = given.name, given.datatype
    dtype = dtype_of(name, datatype)
    count = count_of(name, given.shape)
    field = _CONTENTS.get(datatype)
    if field is None:
        raise InvalidInput(f"Input {name!r} is {datatype}, which only raw_input_contents can carry.", param=name)
    wrong = [filled.name for filled, _ in given.contents.ListFields() if filled.name != field]
    if wrong:
        raise InvalidInput(f"Input {name!r} is {datatype}: its data belongs in {field}, not {wrong[0]}.", param=name)
    values = getattr(given.contents, field)
    if len(values) != count:
        raise InvalidInput(
            f"Tensor {name!r} of shape {list(given.shape)} has {count} elements; its data has {len(values)}.",
            param=name,
        )
    if datatype == BYTES:
        return shaped(name, object_array(values), given.shape)
    try:
        return shaped(name, np.array(list(values), dtype), given.shape)  # numpy cuts what is no list in silence
    except OverflowError:
        raise InvalidInput(f"Tensor {name!r} holds a number beyond the range of {datatype}.", param=name) from None


def _refuse(tensor: Any) -> None:
    """What would change the answer must not be passed over in silence, as other parameters are."""
    if tensor.parameters:
        for name in _NOT_OFFERED:
            if name in tensor.parameters:
                raise Unsupported(f"Tensor {tensor.name!r}: Tandem does not offer {name!r}.", param=tensor.name)
