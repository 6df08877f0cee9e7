"""ONNX models."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from models.engines import onnx_model as engine
from models.engines.onnx import open_graph
from models.engines.table import Meaning, meaning_of, write_meaning
from models.errors import NotStored
from models.own.draft import Draft, Table, labels_of, sample_rows, table_width, values_a_row
from models.own.trials import example_of, independent
from models.spec import TensorSpec

if TYPE_CHECKING:
    from pathlib import Path

    from models.own.draft import Wishes
    from models.spec import Rows

_LABELS = ("classlabels_strings", "classlabels_int64s", "classlabels_ints")


def read(path: Path, wishes: Wishes) -> Draft:
    """A model from an `.onnx` file; weights in files beside it come along. Raises NotStored."""
    import onnx
    from google.protobuf.message import DecodeError

    try:
        model = onnx.load(path)
    except (DecodeError, OSError, ValueError) as error:
        raise NotStored(f"{path.name} is no ONNX model, or not a whole one: {error}") from None
    return draft(model, wishes)


def draft(model: Any, wishes: Wishes) -> Draft:
    """How an ONNX model can be served. Raises NotStored."""
    graph: bytes = model.SerializeToString()
    try:
        session = open_graph(graph)
    except Exception as error:  # noqa: BLE001 - the runtime's errors have no common base
        raise NotStored(f"ONNX Runtime cannot run it: {str(error).strip().splitlines()[0]}") from None
    inputs = tuple(_tensor(one) for one in session.get_inputs())
    refused = [one.name for one, tensor in zip(session.get_inputs(), inputs, strict=True) if tensor is None]
    if refused:
        raise NotStored(f"Its input {refused[0]!r} is no tensor of a type that the protocol has.")
    labels = () if wishes.as_tensors else wishes.labels or _labels(model)
    takes_table = len(inputs) == 1 and inputs[0] is not None and _is_table(inputs[0])
    if labels and takes_table:
        return _classifier(graph, session, wishes, labels)
    if wishes.labels:
        raise NotStored("Only a model with one input of rows of numbers can be served as a classifier.")
    return _tensors(graph, session, tuple(one for one in inputs if one is not None), wishes)


def _tensors(graph: bytes, session: Any, inputs: tuple[TensorSpec, ...], wishes: Wishes) -> Draft:
    described = [(one.name, _tensor(one)) for one in session.get_outputs()]
    outputs = tuple(tensor for _, tensor in described if tensor is not None)
    left_out = [name for name, tensor in described if tensor is None]
    if not outputs:
        raise NotStored("None of its outputs is a tensor of a type that the protocol has.")
    example = example_of(inputs, wishes)
    names = {_first_dimension(one) for one in (*session.get_inputs(), *session.get_outputs()) if one.shape}
    rows = len(names) == 1 and independent(_infer(session, outputs), inputs, outputs, example)
    return Draft(
        framework="onnx",
        engine="onnx",
        write=partial(engine.write, graph=graph),
        inputs=inputs,
        outputs=outputs,
        example=example,
        rows_are_independent=rows,
        notes=(f"Left out, for they are no tensors: {', '.join(left_out)}.",) if left_out else (),
    )


def _classifier(graph: bytes, session: Any, wishes: Wishes, known: tuple[str, ...]) -> Draft:
    source = session.get_inputs()[0]
    declared = source.shape[1] if len(source.shape) > 1 and isinstance(source.shape[1], int) else None
    width = table_width(wishes, declared)
    labels = labels_of(wishes, known, len(known))
    rows = sample_rows(width, wishes.example)
    name, meaning = _scores(session, rows, len(labels))

    def write(folder: Path) -> None:
        engine.write(folder, graph, table_output=name)
        write_meaning(folder, meaning)

    notes = (f"Its output {name!r} is taken for scores: probabilities are their softmax.",)
    return Draft(
        framework="onnx",
        engine="onnx",
        write=write,
        table=Table(width, wishes.feature_names, labels, values_a_row(rows)),
        notes=notes if meaning == "scores" else (),
    )


def _scores(session: Any, rows: Rows, labels: int) -> tuple[str, Meaning]:
    """The output that has a value for each label, those that look like probabilities first, and what its values mean."""
    found: list[tuple[str, Meaning]] = []
    source = session.get_inputs()[0]
    given = rows.astype(np.float64) if source.type == "tensor(double)" else rows
    names = [one.name for one in session.get_outputs() if one.type in ("tensor(float)", "tensor(double)")]
    try:
        answers = session.run(names, {source.name: given}) if names else []
    except Exception as error:  # noqa: BLE001 - the runtime's errors have no common base
        raise NotStored(f"It does not predict: {str(error).strip().splitlines()[0]}") from None
    for name, values in zip(names, answers, strict=True):
        try:
            found.append((name, meaning_of(values, labels)))
        except ValueError:
            continue
    if not found:
        raise NotStored(
            f"None of its outputs has a number for each of the {labels} labels. A graph that was exported with ZipMap "
            "must be exported without it (zipmap=False)."
        )
    return min(found, key=lambda one: one[1] != "probabilities")


def _infer(session: Any, outputs: tuple[TensorSpec, ...]) -> Any:
    names = [tensor.name for tensor in outputs]
    return lambda tensors: dict(zip(names, session.run(names, dict(tensors)), strict=True))


def _tensor(described: Any) -> TensorSpec | None:
    datatype = engine.DATATYPES.get(described.type)
    if datatype is None:
        return None
    shape = tuple(size if isinstance(size, int) and size >= 0 else -1 for size in described.shape)
    return TensorSpec(name=described.name, datatype=datatype, shape=shape)


def _is_table(tensor: TensorSpec) -> bool:
    return tensor.datatype in ("FP32", "FP64") and len(tensor.shape) == 2 and tensor.shape[0] == -1  # noqa: PLR2004


def _first_dimension(described: Any) -> str | int:
    """Its name, where it has one: dimensions of one name have one size."""
    size = described.shape[0]
    return size if isinstance(size, int) else str(size or "")


def _labels(model: Any) -> tuple[str, ...]:
    """Class labels that a converted scikit-learn or XGBoost model carries in its classifier node."""
    for node in model.graph.node:
        for attribute in node.attribute:
            if attribute.name in _LABELS and (attribute.strings or attribute.ints):
                return tuple(one.decode() for one in attribute.strings) or tuple(map(str, attribute.ints))
    return ()
