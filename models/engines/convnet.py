"""A small convolutional network for square grey images, trained with torch.

Predictions run as an ONNX graph: about eight times as fast as torch from one row to a thousand, and bit for bit the
same for a row in any batch, which torch's kernels are not (``scripts/bench_engines.py``). Attributions need gradients
and run in torch.
"""

from __future__ import annotations

from functools import cached_property
from math import isqrt
from typing import TYPE_CHECKING, Any

import numpy as np

from models.engines.onnx import GRAPH_FILE, OnnxGraph
from models.spec import Attributions

if TYPE_CHECKING:
    from pathlib import Path

    import torch
    from numpy.typing import NDArray

    from models.spec import ModelSpec, Probabilities, Rows

WEIGHTS_FILE = "network.safetensors"
CHANNELS = (16, 32)
"""Channels of the two convolutions."""
STEPS = 256
"""Points of the path that integrated gradients follow."""


def build(side: int, labels: int, dropout: float = 0.0) -> torch.nn.Sequential:
    """The network, from ink of shape (rows, side * side) between 0 and 1 to scores of shape (rows, labels)."""
    from torch import nn

    first, second = CHANNELS
    return nn.Sequential(
        nn.Unflatten(1, (1, side, side)),
        nn.Conv2d(1, first, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(first, second, 3, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Dropout(dropout),
        nn.Linear(second * (side // 2) ** 2, labels),
    )


def write(folder: Path, network: torch.nn.Sequential, *, side: int, high: float) -> None:
    """Store a trained network of `build` as torch weights and, for pixels from 0 to `high`, as an ONNX graph."""
    import onnx
    from safetensors.torch import save

    weights = network.state_dict()
    (folder / WEIGHTS_FILE).write_bytes(save(weights))
    arrays = {name: tensor.numpy() for name, tensor in weights.items()}
    onnx.save_model(_graph(arrays, side, high), folder / GRAPH_FILE)


def load(spec: ModelSpec, folder: Path, threads: int) -> ConvNetEngine:
    """Load what `write` stored."""
    return ConvNetEngine(spec, folder, threads)


class ConvNetEngine:
    """See the module. Predictions and attributions may run at once, in two threads."""

    def __init__(self, spec: ModelSpec, folder: Path, threads: int) -> None:
        self.spec = spec
        self._folder = folder
        self._threads = threads
        self._high = spec.features[0].high
        self._graph = OnnxGraph(folder / GRAPH_FILE, threads=threads)

    def predict(self, rows: Rows) -> Probabilities:
        """Probabilities of shape (rows, labels)."""
        return self._graph.run(rows)

    def attribute(self, row: Rows) -> Attributions:
        """Integrated gradients of the label's score along the straight path from an empty image.

        The integral is a sum over `STEPS` midpoints, run as one batch. Baseline and contributions add up to the output
        within 0.05 or 1 % of it, whichever is more: the score has kinks where a ReLU or the pooling switches.
        """
        import torch

        ink = torch.from_numpy(row / np.float32(self._high))
        with torch.no_grad():
            empty, scores = self._network(torch.cat([torch.zeros_like(ink), ink]))
        label = int(scores.argmax())
        midpoints = (torch.arange(STEPS, dtype=torch.float32) + 0.5) / STEPS
        path = (midpoints[:, None] * ink).requires_grad_()
        (gradients,) = torch.autograd.grad(self._network(path)[:, label].sum(), path)
        contributions = (gradients.double().mean(0) * ink[0].double()).tolist()
        return Attributions(
            label=self.spec.labels[label],
            space="logit",
            method="integrated-gradients",
            baseline=float(empty[label]),
            output=float(scores[label]),
            contributions=tuple(contributions),
        )

    @cached_property
    def _network(self) -> torch.nn.Sequential:
        import torch
        from safetensors.torch import load_file

        # One setting for the whole process: that is how torch has it.
        torch.set_num_threads(self._threads)
        network = build(isqrt(len(self.spec.features)), len(self.spec.labels))
        network.load_state_dict(load_file(self._folder / WEIGHTS_FILE))
        return network.requires_grad_(requires_grad=False).eval()


def _graph(weights: dict[str, NDArray[np.float32]], side: int, high: float) -> Any:
    """The network of `build`, from pixels of shape (rows, side * side) to probabilities."""
    from onnx import TensorProto, helper, numpy_helper

    constants: dict[str, NDArray[Any]] = {
        "high": np.array(high, dtype=np.float32),
        "image": np.array([-1, 1, side, side], dtype=np.int64),
        **weights,
    }
    convolution: dict[str, Any] = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
    pooling: dict[str, Any] = {"kernel_shape": [2, 2], "strides": [2, 2]}
    nodes = [
        helper.make_node("Div", ["rows", "high"], ["ink"]),
        helper.make_node("Reshape", ["ink", "image"], ["images"]),
        helper.make_node("Conv", ["images", "1.weight", "1.bias"], ["edges"], **convolution),
        helper.make_node("Relu", ["edges"], ["edges_on"]),
        helper.make_node("MaxPool", ["edges_on"], ["pooled"], **pooling),
        helper.make_node("Conv", ["pooled", "4.weight", "4.bias"], ["shapes"], **convolution),
        helper.make_node("Relu", ["shapes"], ["shapes_on"]),
        helper.make_node("Flatten", ["shapes_on"], ["flat"]),
        helper.make_node("Gemm", ["flat", "8.weight", "8.bias"], ["scores"], transB=1),
        helper.make_node("Softmax", ["scores"], ["probabilities"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "convnet",
        [helper.make_tensor_value_info("rows", TensorProto.FLOAT, [None, side * side])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [None, len(weights["8.bias"])])],
        initializer=[numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
