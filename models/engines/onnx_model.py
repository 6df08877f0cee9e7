"""Any ONNX model: as a classifier where it has labels, else with whatever tensors its graph takes and gives."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from models.engines.onnx import GRAPH_FILE, open_graph
from models.engines.table import table_engine
from models.errors import BadInput

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from models.spec import Engine, ModelSpec, Rows, TensorEngine, Tensors

_OPTIONS_FILE = "onnx.json"

DATATYPES = {
    "tensor(bool)": "BOOL",
    "tensor(uint8)": "UINT8",
    "tensor(uint16)": "UINT16",
    "tensor(uint32)": "UINT32",
    "tensor(uint64)": "UINT64",
    "tensor(int8)": "INT8",
    "tensor(int16)": "INT16",
    "tensor(int32)": "INT32",
    "tensor(int64)": "INT64",
    "tensor(float16)": "FP16",
    "tensor(float)": "FP32",
    "tensor(double)": "FP64",
    "tensor(string)": "BYTES",
}
"""v2 datatype of ONNX Runtime's types; others (sequences, maps, bfloat16) cannot be served."""


def write(folder: Path, graph: bytes, *, table_output: str | None = None) -> None:
    """Store a graph. For a model over a table, `table_output` names the output that has its values."""
    (folder / GRAPH_FILE).write_bytes(graph)
    if table_output is not None:
        (folder / _OPTIONS_FILE).write_text(json.dumps({"output": table_output}) + "\n", encoding="utf-8")


def load(spec: ModelSpec, folder: Path, threads: int) -> Engine | TensorEngine:
    """Load what `write` stored."""
    session = open_graph(folder / GRAPH_FILE, threads=threads)
    if not (folder / _OPTIONS_FILE).is_file():
        return OnnxTensors(spec, session)
    output = json.loads((folder / _OPTIONS_FILE).read_bytes())["output"]
    source = session.get_inputs()[0]
    wide = source.type == "tensor(double)"

    def score(rows: Rows) -> NDArray[Any]:
        given = rows.astype(np.float64) if wide else np.ascontiguousarray(rows)
        values: NDArray[Any] = session.run([output], {source.name: given})[0]
        return values

    return table_engine(spec, folder, score)


class OnnxTensors:
    """A `TensorEngine` over a graph."""

    def __init__(self, spec: ModelSpec, session: Any) -> None:
        self.spec = spec
        self._session = session
        self._outputs = [output.name for output in spec.outputs]

    def infer(self, tensors: Tensors) -> dict[str, NDArray[Any]]:
        """The graph's outputs. Raises BadInput with the runtime's words when it refuses the inputs."""
        try:
            given = {name: _as_text(array) if array.dtype.hasobject else array for name, array in tensors.items()}
            values = self._session.run(self._outputs, given)
        except UnicodeDecodeError:
            raise BadInput("A BYTES element is not UTF-8, which this model needs.") from None
        except Exception as error:  # the runtime's errors have no common base
            raise BadInput(f"The model refuses these inputs: {_short(error)}") from error
        return {name: _from_text(value) for name, value in zip(self._outputs, values, strict=True)}


def _as_text(array: NDArray[Any]) -> NDArray[Any]:
    text = [one.decode() if isinstance(one, bytes) else str(one) for one in array.flat]
    return np.array(text, object).reshape(array.shape)


def _from_text(value: Any) -> NDArray[Any]:
    array = np.asarray(value)
    if array.dtype.kind not in "OU":
        return array
    coded = np.empty(array.size, object)
    coded[:] = [str(one).encode() for one in array.flat]
    return coded.reshape(array.shape)


def _short(error: Exception) -> str:
    """The runtime's message without its codes and paths."""
    return str(error).strip().splitlines()[0].rpartition(" : ")[2].strip()[:300]
