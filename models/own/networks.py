"""Torch networks: TorchScript files and exported programs."""

from __future__ import annotations

import zipfile
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from models.engines import network as engine
from models.engines.examples import datatype_of
from models.engines.table import meaning_of, write_meaning
from models.errors import BadInput, NotStored
from models.own.draft import Draft, Table, labels_of, sample_rows, table_width, values_a_row
from models.own.trials import example_of, independent
from models.spec import TensorSpec

if TYPE_CHECKING:
    from pathlib import Path

    from models.engines.network import Call
    from models.own.draft import Wishes
    from models.spec import Tensors

_PICKLE = (
    "A pickled module cannot be served, for it needs its Python code. Export it: "
    'torch.export.save(torch.export.export(module, (example,)), "model.pt2")'
)


def read(path: Path, wishes: Wishes) -> Draft:
    """A model from a `.pt` (TorchScript) or `.pt2` (exported program) file. Raises NotStored."""
    exported = path.suffix == ".pt2"
    try:
        if exported:
            program = engine.load_program(path)
            call, inputs = program.module(), _program_inputs(program)
        else:
            call, inputs = engine.load_script(path), ()
    except (ValueError, zipfile.BadZipFile) as error:
        raise NotStored(f"{path.name} is not loaded: {error}.") from None
    except Exception as error:  # noqa: BLE001 - torch raises whatever its reader meets
        lines = str(error).strip().splitlines() or [type(error).__name__]
        hint = "" if exported else f" {_PICKLE}."
        raise NotStored(f"{path.name} cannot be read: {lines[0]}.{hint}") from None
    target = engine.PROGRAM_FILE if exported else engine.SCRIPT_FILE
    write = partial(_copy, source=path.read_bytes(), target=target)
    wanted = wishes.inputs or inputs
    if _is_table(wishes, wanted):
        return _table(call, write, wishes, wanted)
    if not wanted:
        raise NotStored(
            "TorchScript does not say what it takes. For rows of numbers give --features or --example; for other "
            "tensors, each as --input name:FP32:-1,3,32,32."
        )
    return _tensors(call, write, wishes, wanted)


def _copy(folder: Path, source: bytes, target: str) -> None:
    (folder / target).write_bytes(source)


def _program_inputs(program: Any) -> tuple[TensorSpec, ...]:
    """What an exported program takes: a dimension that it was exported with as dynamic is free."""
    names = set(program.graph_signature.user_inputs)
    tensors = []
    for node in program.graph.nodes:
        if node.op == "placeholder" and node.name in names:
            value = node.meta["val"]
            dtype = np.dtype(str(value.dtype).removeprefix("torch."))
            shape = tuple(size if isinstance(size, int) else -1 for size in value.shape)
            tensors.append(TensorSpec(name=node.name, datatype=datatype_of(dtype), shape=shape))
    return tuple(tensors)


def _is_table(wishes: Wishes, inputs: tuple[TensorSpec, ...]) -> bool:
    if wishes.as_tensors or wishes.inputs:
        return False
    if not inputs:
        return bool(wishes.feature_names) or wishes.example is not None
    rows = len(inputs) == 1 and len(inputs[0].shape) == 2 and inputs[0].shape[0] == -1  # noqa: PLR2004 - a table
    return rows and inputs[0].datatype == "FP32" and bool(wishes.feature_names or wishes.labels)


def _table(call: Call, write: Any, wishes: Wishes, inputs: tuple[TensorSpec, ...]) -> Draft:
    width = table_width(wishes, inputs[0].shape[1] if inputs and inputs[0].shape[1] > 0 else None)
    try:
        values = engine.run(call, [sample_rows(width, wishes.example)])[0]
        meaning = meaning_of(values, len(wishes.labels)) if wishes.labels else "values"
    except BadInput as error:
        raise NotStored(f"It does not predict for rows of {width} numbers. {error}") from None
    except ValueError as error:
        raise NotStored(f"It gives {error}.") from None

    def write_table(folder: Path) -> None:
        write(folder)
        (folder / engine.TABLE_FILE).write_text("{}\n", encoding="utf-8")
        write_meaning(folder, meaning)

    notes = ("Its output is taken for scores: probabilities are their softmax.",) if meaning == "scores" else ()
    labels = labels_of(wishes, None, None)
    return Draft(
        framework="torch",
        engine="torch",
        write=write_table,
        table=Table(width, wishes.feature_names, labels, values_a_row(values)),
        notes=notes,
    )


def _tensors(call: Call, write: Any, wishes: Wishes, inputs: tuple[TensorSpec, ...]) -> Draft:
    if any(tensor.datatype == "BYTES" for tensor in inputs):
        raise NotStored("Torch has no tensors of BYTES.")
    example = example_of(inputs, wishes)

    def infer(tensors: Tensors) -> dict[str, Any]:
        values = engine.run(call, [tensors[tensor.name] for tensor in inputs])
        return {_output(index, len(values), wishes): value for index, value in enumerate(values)}

    try:
        first = infer(example)
        free = [tensor for tensor in inputs if tensor.shape[:1] == (-1,)]
        twice = {
            tensor.name: np.concatenate([example[tensor.name]] * 2) if tensor in free else example[tensor.name]
            for tensor in inputs
        }
        second = infer(twice) if free else first
    except BadInput as error:
        raise NotStored(f"It does not answer a call with zeros for its inputs. {error}") from None
    if wishes.outputs and len(wishes.outputs) != len(first):
        raise NotStored(f"It has {len(first)} outputs; {len(wishes.outputs)} names were given.")
    outputs = tuple(_grown(name, value, second[name]) for name, value in first.items())
    return Draft(
        framework="torch",
        engine="torch",
        write=write,
        inputs=inputs,
        outputs=outputs,
        example=example,
        rows_are_independent=independent(infer, inputs, outputs, example),
    )


def _output(index: int, count: int, wishes: Wishes) -> str:
    if index < len(wishes.outputs):
        return wishes.outputs[index]
    return "output" if count == 1 else f"output_{index}"


def _grown(name: str, value: Any, other: Any) -> TensorSpec:
    """The output's tensor: dimensions that differ between two calls of different sizes are free."""
    shape = tuple(a if a == b else -1 for a, b in zip(value.shape, other.shape, strict=True))
    return TensorSpec(name=name, datatype=datatype_of(value.dtype), shape=shape)
