"""Gradient-boosted trees for two labels, trained by XGBoost.

Small batches run as an ONNX graph (5 microseconds for one row against 85 in XGBoost), large ones in XGBoost itself
(0.6 microseconds a row against 1.3) once an explanation, or `models.engines.loader.warm_up_attributions`, has loaded
it; ``scripts/bench_engines.py`` measures both. A row's answer does not depend on which: the graph adds up base score
and leaves as float32 in XGBoost's own order, so both give the same bits, and the last step, from log-odds to
probability, is shared. A test holds them to it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from models.engines.onnx import GRAPH_FILE, OnnxGraph
from models.spec import Attributions

if TYPE_CHECKING:
    from pathlib import Path

    import xgboost

    from models.spec import ModelSpec, Probabilities, Rows

BOOSTER_FILE = "booster.ubj"
LARGE_BATCH = 96
"""Rows from which XGBoost is the faster of the two."""


def write(folder: Path, booster: xgboost.Booster) -> None:
    """Store a booster with the objective ``binary:logistic``, and its trees as an ONNX graph."""
    import onnx

    booster.save_model(folder / BOOSTER_FILE)
    onnx.save_model(_graph(json.loads(booster.save_raw("json"))["learner"]), folder / GRAPH_FILE)


def load(spec: ModelSpec, folder: Path, threads: int) -> TreesEngine:
    """Load what `write` stored."""
    return TreesEngine(spec, folder, threads)


class TreesEngine:
    """See the module. Predictions and attributions may run at once, in two threads."""

    def __init__(self, spec: ModelSpec, folder: Path, threads: int) -> None:
        self.spec = spec
        self._folder = folder
        self._threads = threads
        # With more threads the runtime would split one row's trees among them and add up in another order.
        self._graph = OnnxGraph(folder / GRAPH_FILE, threads=1)
        self._booster: xgboost.Booster | None = None

    def predict(self, rows: Rows) -> Probabilities:
        """Probabilities of shape (rows, 2)."""
        booster = self._booster
        if booster is None or len(rows) < LARGE_BATCH:
            margin = self._graph.run(rows)[:, 0].astype(np.float64)
        else:
            margin = booster.inplace_predict(rows, predict_type="margin").astype(np.float64)
        # tanh cannot overflow, unlike exp.
        second = 0.5 + 0.5 * np.tanh(0.5 * margin)
        probabilities = np.empty((len(rows), 2), dtype=np.float32)
        probabilities[:, 0] = 1.0 - second
        probabilities[:, 1] = second
        return probabilities

    def attribute(self, row: Rows) -> Attributions:
        """TreeSHAP by XGBoost, in the log-odds of the predicted label; the baseline is the mean over training rows."""
        import xgboost

        booster = self._load_booster()
        matrix = xgboost.DMatrix(row, nthread=self._threads)
        shares = booster.predict(matrix, pred_contribs=True)[0].astype(np.float64)
        output = float(booster.predict(matrix, output_margin=True)[0])
        label = int(output > 0)
        sign = 1.0 if label else -1.0
        return Attributions(
            label=self.spec.labels[label],
            space="log-odds",
            method="treeshap",
            baseline=sign * float(shares[-1]),
            output=sign * output,
            contributions=tuple((sign * shares[:-1]).tolist()),
        )

    def _load_booster(self) -> xgboost.Booster:
        import xgboost

        if self._booster is None:
            booster = xgboost.Booster(model_file=self._folder / BOOSTER_FILE)
            booster.set_param({"nthread": self._threads})
            self._booster = booster
        return self._booster


def _graph(learner: dict[str, Any]) -> Any:
    """XGBoost's trees as a TreeEnsembleRegressor that yields the margin, shape (rows, 1).

    The base score is the first tree, made of one leaf: XGBoost starts from it, and ONNX's own ``base_values`` would be
    added at the end, which rounds differently.
    """
    from onnx import TensorProto, helper

    base = np.float32(learner["learner_model_param"]["base_score"].strip("[]"))
    trees = learner["gradient_booster"]["model"]["trees"]
    nodes: dict[str, list[Any]] = {key: [] for key in _NODE_KEYS}
    leaves: dict[str, list[Any]] = {key: [] for key in _LEAF_KEYS}
    _add(nodes, leaves, 0, _single_leaf(np.log(base / (np.float32(1) - base))))
    for index, tree in enumerate(trees, start=1):
        _add(nodes, leaves, index, tree)
    attributes: dict[str, Any] = {**nodes, **leaves}
    ensemble = helper.make_node(
        "TreeEnsembleRegressor", ["rows"], ["margin"], domain="ai.onnx.ml", n_targets=1, **attributes
    )
    width = int(learner["learner_model_param"]["num_feature"])
    graph = helper.make_graph(
        [ensemble],
        "trees",
        [helper.make_tensor_value_info("rows", TensorProto.FLOAT, [None, width])],
        [helper.make_tensor_value_info("margin", TensorProto.FLOAT, [None, 1])],
    )
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)], ir_version=8
    )


_NODE_KEYS = (
    "nodes_treeids",
    "nodes_nodeids",
    "nodes_featureids",
    "nodes_values",
    "nodes_modes",
    "nodes_truenodeids",
    "nodes_falsenodeids",
    "nodes_missing_value_tracks_true",
)
_LEAF_KEYS = ("target_treeids", "target_nodeids", "target_ids", "target_weights")


def _single_leaf(value: float) -> dict[str, list[Any]]:
    """A tree in XGBoost's JSON form that answers `value`."""
    return {
        "left_children": [-1],
        "right_children": [-1],
        "split_indices": [0],
        "split_conditions": [float(value)],
        "default_left": [0],
    }


def _add(nodes: dict[str, list[Any]], leaves: dict[str, list[Any]], tree_id: int, tree: dict[str, list[Any]]) -> None:
    """Append one tree, its nodes in XGBoost's order."""
    columns = ("left_children", "right_children", "split_indices", "split_conditions", "default_left")
    for node, (left, right, feature, value, default) in enumerate(zip(*(tree[key] for key in columns), strict=True)):
        leaf = left == -1
        figures = (feature, value, "BRANCH_LT", left, right, default) if not leaf else (0, 0.0, "LEAF", 0, 0, 0)
        for key, figure in zip(_NODE_KEYS, (tree_id, node, *figures), strict=True):
            nodes[key].append(figure)
        if leaf:
            for key, figure in zip(_LEAF_KEYS, (tree_id, node, 0, value), strict=True):
                leaves[key].append(figure)
