"""ONNX graphs, run by ONNX Runtime on the CPU."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    from models.spec import Rows

GRAPH_FILE = "graph.onnx"


def open_graph(graph: Path | bytes, *, threads: int = 1) -> Any:
    """An ONNX Runtime session with `threads` threads, over a file or its content."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # what fails is raised as well
    # Threads that spin while they wait would take the core that the server needs.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    source = graph if isinstance(graph, bytes) else str(graph)
    return onnxruntime.InferenceSession(source, sess_options=options, providers=["CPUExecutionProvider"])


class OnnxGraph:
    """A graph from FP32 rows of shape (rows, features) to FP32 values of shape (rows, values)."""

    def __init__(self, path: Path, *, threads: int = 1) -> None:
        self._session = open_graph(path, threads=threads)
        self._input = self._session.get_inputs()[0].name
        self._outputs = [self._session.get_outputs()[0].name]

    def run(self, rows: Rows) -> Rows:
        """The graph's output for `rows`."""
        values: Rows = self._session.run(self._outputs, {self._input: np.ascontiguousarray(rows)})[0]
        return values
