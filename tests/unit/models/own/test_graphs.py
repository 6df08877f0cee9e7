"""ONNX graphs, as tensors and as classifiers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from onnx import TensorProto, helper

from models import store
from models.errors import BadInput, ModelBroken, NotStored
from models.save import add, make_wishes, save
from models.spec import TensorSpec
from tests.unit.models.own.irises import LABELS, NAMES, ROWS, probabilities

if TYPE_CHECKING:
    from models.spec import TensorEngine

pytestmark = pytest.mark.usefixtures("home")


def graph(
    inputs: dict[str, Any], outputs: dict[str, Any], *nodes: Any, kind: int = TensorProto.FLOAT, **more: Any
) -> Any:
    def described(tensors: dict[str, Any]) -> list[Any]:
        return [helper.make_tensor_value_info(name, kind, shape) for name, shape in tensors.items()]

    made = helper.make_graph(list(nodes), "graph", described(inputs), described(outputs), **more)
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    return helper.make_model(made, opset_imports=opsets, ir_version=8)


def test_add_and_subtract() -> None:
    shape = [1, 16]
    model = graph(
        {"INPUT0": shape, "INPUT1": shape},
        {"OUTPUT0": shape, "OUTPUT1": shape},
        helper.make_node("Add", ["INPUT0", "INPUT1"], ["OUTPUT0"]),
        helper.make_node("Sub", ["INPUT0", "INPUT1"], ["OUTPUT1"]),
        kind=TensorProto.INT32,
    )
    spec = save(model, name="add_sub")
    assert spec.inputs == tuple(TensorSpec(name=f"INPUT{i}", datatype="INT32", shape=(1, 16)) for i in range(2))
    assert not spec.batches
    first, second = np.arange(16, dtype=np.int32)[None], np.ones((1, 16), np.int32)
    engine: TensorEngine = store.load("add_sub")  # type: ignore[assignment]
    answer = engine.infer({"INPUT0": first, "INPUT1": second})
    np.testing.assert_array_equal(answer["OUTPUT0"], first + second)
    np.testing.assert_array_equal(answer["OUTPUT1"], first - second)
    with pytest.raises(ModelBroken, match="no classifier"):
        store.load_classifier("add_sub")


def test_rows_are_batched_only_where_they_do_not_touch() -> None:
    apart = graph({"x": ["n", 3]}, {"y": ["n", 3]}, helper.make_node("Relu", ["x"], ["y"]))
    together = graph({"x": ["n", 3]}, {"y": ["n", 3]}, helper.make_node("Softmax", ["x"], ["y"], axis=0))
    unequal = graph({"a": ["n", 3], "b": ["m", 3]}, {"y": ["n", 3]}, helper.make_node("Relu", ["a"], ["y"]))
    assert save(apart, name="apart").batches
    assert not save(together, name="together").batches
    assert not save(unequal, name="unequal").batches


def test_text_goes_in_and_out_as_bytes() -> None:
    model = graph({"x": ["n"]}, {"y": ["n"]}, helper.make_node("Identity", ["x"], ["y"]), kind=TensorProto.STRING)
    spec = save(model, name="echo")
    assert (spec.inputs[0].datatype, spec.outputs[0].datatype) == ("BYTES", "BYTES")
    engine: TensorEngine = store.load("echo")  # type: ignore[assignment]
    given = np.array(["Grüße".encode(), b""], object)
    assert engine.infer({"x": given})["y"].tolist() == given.tolist()
    with pytest.raises(BadInput, match="not UTF-8"):
        engine.infer({"x": np.array([b"\xff"], object)})


def test_an_onnx_classifier_by_its_labels_or_those_it_carries() -> None:
    scores = helper.make_node("MatMul", ["x", "w"], ["y"])
    weights = helper.make_tensor("w", TensorProto.FLOAT, [4, 3], np.eye(4, 3).ravel())
    model = graph({"x": ["n", 4]}, {"y": ["n", 3]}, scores, initializer=[weights])
    added = add(model, make_wishes(ROWS, labels=LABELS, feature_names=NAMES), name="linear")
    assert "softmax" in added.notes[0]
    expected = np.exp(ROWS[:, :3]) / np.exp(ROWS[:, :3]).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(probabilities("linear"), expected, atol=1e-5)
    assert save(model, name="plain").inputs[0].name == "x"

    carried = helper.make_node(
        "LinearClassifier", ["x"], ["label", "probabilities"], domain="ai.onnx.ml", coefficients=np.eye(3, 4).ravel(),
        intercepts=[0.0] * 3, classlabels_strings=list(LABELS), post_transform="SOFTMAX",
    )  # fmt: skip
    converted = graph({"x": ["n", 4]}, {"probabilities": ["n", 3]}, carried)
    spec = save(converted, name="converted")
    assert spec.labels == LABELS
    np.testing.assert_allclose(probabilities("converted"), expected, atol=1e-5)
    assert add(converted, make_wishes(as_tensors=True), name="raw").spec.inputs[0].name == "x"
    with pytest.raises(NotStored, match="for each of the 2 labels"):
        save(converted, name="converted", labels=("a", "b"))


def test_onnx_refuses_inputs_in_words() -> None:
    concat = helper.make_node("Concat", ["a", "b"], ["y"], axis=0)
    save(graph({"a": ["n", "k"], "b": ["m", "k"]}, {"y": ["l", "k"]}, concat), name="joined")
    engine: TensorEngine = store.load("joined")  # type: ignore[assignment]
    with pytest.raises(BadInput, match="The model refuses these inputs"):
        engine.infer({"a": np.zeros((1, 2), np.float32), "b": np.zeros((1, 3), np.float32)})
