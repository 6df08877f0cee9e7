"""Every kind of model, from its training library to what the store serves."""

from __future__ import annotations

import json
import os
import pickle
import zipfile
from io import BytesIO
from typing import TYPE_CHECKING, Any

import joblib
import numpy as np
import pytest
import skops.io
import torch
import xgboost
from onnx import TensorProto, helper
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_diabetes, load_iris
from sklearn.ensemble import GradientBoostingRegressor, HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import LinearSVC

from models import store
from models.engines.table import PREDICTION
from models.errors import BadInput, ModelBroken, NotStored
from models.save import add, make_wishes, save
from models.spec import TensorSpec

if TYPE_CHECKING:
    from pathlib import Path

    from models.spec import TensorEngine

DATA, TRUTH = load_iris(return_X_y=True)
ROWS = DATA.astype(np.float32)
NAMES = ("sepal_length", "sepal_width", "petal_length", "petal_width")
LABELS = ("setosa", "versicolor", "virginica")
NAMED = np.array(LABELS)[TRUTH]

pytestmark = pytest.mark.usefixtures("home")


def double(values: Any) -> Any:
    return values * 2


def probabilities(name: str, rows: Any = ROWS) -> Any:
    return store.load_classifier(name).predict(np.asarray(rows, np.float32))


def values(name: str, rows: Any) -> Any:
    engine: TensorEngine = store.load(name)  # type: ignore[assignment]
    return engine.infer({"features": np.asarray(rows, np.float32)})[PREDICTION]


@pytest.mark.parametrize(
    "estimator",
    [
        LogisticRegression(max_iter=1000),
        RandomForestClassifier(10, random_state=0),
        HistGradientBoostingClassifier(max_iter=10),
        KNeighborsClassifier(),
        make_pipeline(StandardScaler(), CalibratedClassifierCV(LinearSVC())),
    ],
    ids=lambda one: type(one).__name__,
)
def test_a_classifier_answers_as_in_scikit_learn_and_is_no_pickle(estimator: Any, home: Path) -> None:
    estimator.fit(ROWS, NAMED)
    spec = save(estimator, name="flowers", example=ROWS, feature_names=NAMES, description="Which iris?")
    assert spec.is_classifier
    assert not spec.trusted_pickle
    assert [feature.name for feature in spec.features] == list(NAMES)
    assert spec.labels == LABELS
    assert spec.description == "Which iris?"
    np.testing.assert_allclose(probabilities("flowers"), estimator.predict_proba(ROWS), atol=1e-4)
    assert not list((home / "models" / "flowers" / spec.version).glob("*.joblib"))


def test_names_come_from_the_estimator_without_a_warning_at_each_call() -> None:
    class Frame(np.ndarray):
        columns = NAMES

    forest = RandomForestClassifier(5, random_state=0).fit(ROWS, TRUTH)
    forest.feature_names_in_ = np.array(NAMES, object)
    spec = save(forest, name="flowers", labels=LABELS)
    assert [feature.name for feature in spec.features] == list(NAMES)
    assert spec.labels == LABELS
    assert probabilities("flowers").shape == (150, 3)
    by_frame = save(LogisticRegression(max_iter=1000).fit(ROWS, TRUTH), name="framed", example=ROWS.view(Frame))
    assert [feature.name for feature in by_frame.features] == list(NAMES)
    assert by_frame.features[0].typical == pytest.approx(np.median(ROWS[:, 0]))


def test_a_decision_function_stands_in_for_probabilities_and_is_noted() -> None:
    added = add(LinearSVC().fit(ROWS, TRUTH), make_wishes(ROWS), name="svc")
    assert "decision function" in added.notes[0]
    np.testing.assert_allclose(probabilities("svc").sum(axis=1), 1, atol=1e-5)


@pytest.mark.parametrize(
    "estimator", [Ridge(), GradientBoostingRegressor(n_estimators=5), xgboost.XGBRegressor(n_estimators=5)]
)
def test_a_regressor_is_a_tensor_model(estimator: Any) -> None:
    rows, truth = load_diabetes(return_X_y=True)
    estimator.fit(rows, truth)
    spec = save(estimator, name="sugar", example=rows)
    assert not spec.is_classifier
    assert spec.batches
    assert spec.outputs == (TensorSpec(name="prediction", datatype="FP32", shape=(-1,)),)
    np.testing.assert_allclose(values("sugar", rows), estimator.predict(rows.astype(np.float32)), rtol=1e-3)
    assert values("sugar", rows[:0]).shape == (0,)


@pytest.mark.parametrize(("classes", "engine"), [(2, "trees"), (3, "xgboost")])
def test_xgboost_from_python_and_from_its_files(classes: int, engine: str, tmp_path: Path) -> None:
    model = xgboost.XGBClassifier(n_estimators=8).fit(ROWS[classes > TRUTH], TRUTH[classes > TRUTH])
    assert save(model, name="python", labels=LABELS[:classes]).engine == engine
    expected = model.predict_proba(ROWS)
    np.testing.assert_allclose(probabilities("python"), expected, atol=1e-5)
    for suffix in ("json", "ubj"):
        model.save_model(tmp_path / f"model.{suffix}")
        added = add(tmp_path / f"model.{suffix}", make_wishes(), name="filed")
        assert added.spec.labels == tuple(str(index) for index in range(classes))
        assert "Its labels are not in the file" in added.notes[0]
        np.testing.assert_allclose(probabilities("filed"), expected, atol=1e-5)


def test_early_stopping_keeps_the_best_trees_alone() -> None:
    model = xgboost.XGBClassifier(n_estimators=60, early_stopping_rounds=2, learning_rate=0.9)
    model.fit(ROWS[::2], TRUTH[::2], eval_set=[(ROWS[1::2], TRUTH[1::2])], verbose=False)
    save(model, name="early")
    np.testing.assert_allclose(probabilities("early"), model.predict_proba(ROWS), atol=1e-5)


@pytest.mark.parametrize(
    ("name", "attributes", "classes"),
    [
        ("treeshap", {"n_estimators": 8}, 3),
        ("treeshap", {"n_estimators": 8, "booster": "dart"}, 2),
        ("shapley", None, 3),
    ],
)
def test_every_classifier_can_be_explained(name: str, attributes: dict[str, Any] | None, classes: int) -> None:
    some = classes > TRUTH
    model = LogisticRegression(max_iter=1000) if attributes is None else xgboost.XGBClassifier(**attributes)
    save(model.fit(ROWS[some], TRUTH[some]), name="mine", example=ROWS[some])
    engine = store.load_classifier("mine")
    for row in ROWS[some][::30].astype(np.float32):
        attributions = engine.attribute(row[None])
        assert name in attributions.method
        total = attributions.baseline + sum(attributions.contributions)
        assert total == pytest.approx(attributions.output, abs=1e-3)
        assert attributions.label == engine.spec.labels[int(engine.predict(row[None]).argmax())]
        assert attributions == engine.attribute(row[None])


def test_a_joblib_file_needs_a_word_and_is_stored_without_its_pickle(tmp_path: Path, home: Path) -> None:
    joblib.dump(LogisticRegression(max_iter=1000).fit(ROWS, TRUTH), tmp_path / "model.joblib")
    with pytest.raises(NotStored, match=r"is a pickle.*--trust-pickle"):
        save(tmp_path / "model.joblib", name="mine")
    spec = save(tmp_path / "model.joblib", name="mine", trust_pickle=True)
    assert not spec.trusted_pickle
    assert [path.name for path in (home / "models" / "mine" / spec.version).glob("estimator.*")] == ["estimator.skops"]


def test_what_skops_cannot_hold_needs_a_word_and_is_marked(home: Path) -> None:
    pipeline = make_pipeline(FunctionTransformer(double), LogisticRegression(max_iter=1000)).fit(ROWS, TRUTH)
    with pytest.raises(NotStored, match=r"double.*pickle"):
        save(pipeline, name="mine")
    assert store.list_specs() == ()
    spec = save(pipeline, name="mine", trust_pickle=True)
    assert spec.trusted_pickle
    np.testing.assert_allclose(probabilities("mine"), pipeline.predict_proba(ROWS), atol=1e-5)
    file = home / "models" / "mine" / spec.version / store.SPEC_FILE
    file.write_text(json.dumps({**json.loads(file.read_text()), "trusted_pickle": False}))
    with pytest.raises(ModelBroken, match="a pickle, and was not stored as a trusted one"):
        store.load("mine")


def test_a_skops_file_that_somebody_sent(tmp_path: Path) -> None:
    forest = RandomForestClassifier(5, random_state=0).fit(ROWS, TRUTH)
    skops.io.dump(forest, tmp_path / "good.skops")
    save(tmp_path / "good.skops", name="good")
    np.testing.assert_allclose(probabilities("good"), forest.predict_proba(ROWS), atol=1e-5)

    skops.io.dump(make_pipeline(FunctionTransformer(double), forest).fit(ROWS, TRUTH), tmp_path / "strange.skops")
    with pytest.raises(NotStored, match=r"double.*pass the estimator itself"):
        save(tmp_path / "strange.skops", name="strange")

    tree = forest.estimators_[0].tree_
    state = tree.__getstate__()
    state["nodes"]["left_child"][0] = 10**6
    tree.__setstate__(state)
    skops.io.dump(forest, tmp_path / "damaged.skops")
    with pytest.raises(NotStored, match="one of its trees is damaged"):
        save(tmp_path / "damaged.skops", name="damaged")


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


def network() -> torch.nn.Module:
    """Four features in, three scores out."""
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3)).eval()


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The network, exported."""
    path = tmp_path_factory.mktemp("torch") / "model.pt2"
    rows = torch.zeros(2, 4)
    exported = torch.export.export(network(), (rows,), dynamic_shapes=({0: torch.export.Dim("rows", max=100_000)},))
    torch.export.save(exported, path)
    return path


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "model.pt"
    with pytest.warns(DeprecationWarning, match="deprecated"):
        torch.jit.trace(network(), torch.zeros(2, 4)).save(str(path))  # type: ignore[no-untyped-call]
    return path


def test_an_exported_program_as_tensors_and_as_classifier(program: Path) -> None:
    with torch.no_grad():
        expected = torch.export.load(program).module()(torch.tensor(ROWS, dtype=torch.float32)).numpy()
    spec = save(program, name="net")
    assert spec.inputs[0].shape == (-1, 4)
    assert spec.outputs == (TensorSpec(name="output", datatype="FP32", shape=(-1, 3)),)
    assert spec.batches
    engine: TensorEngine = store.load("net")  # type: ignore[assignment]
    name = spec.inputs[0].name
    np.testing.assert_allclose(engine.infer({name: ROWS.astype(np.float32)})["output"], expected, atol=1e-5)
    with pytest.raises(BadInput, match="The model refuses these inputs"):
        engine.infer({name: np.zeros((2, 5), np.float32)})

    save(program, name="net", labels=LABELS, feature_names=NAMES)
    softmax = np.exp(expected) / np.exp(expected).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(probabilities("net"), softmax, atol=1e-5)


def test_torchscript_needs_to_be_told_what_it_takes(script: Path) -> None:
    with pytest.raises(NotStored, match="does not say what it takes"):
        save(script, name="net")
    with pytest.raises(NotStored, match="for rows of 3 numbers"):
        save(script, name="net", feature_names=("a", "b", "c"))
    assert save(script, name="net", labels=LABELS, feature_names=NAMES).labels == LABELS
    inputs = (TensorSpec(name="rows", datatype="FP32", shape=(-1, 4)),)
    spec = add(script, make_wishes(inputs=inputs, outputs=("scores",)), name="net").spec
    assert (spec.inputs, spec.outputs[0].name, spec.outputs[0].shape) == (inputs, "scores", (-1, 3))


class Burglar:
    def __reduce__(self) -> Any:
        return os.mkdir, ("burgled",)


@pytest.mark.parametrize(
    "part", ["data/sample_inputs/model.pt", "data/constants/opaque_obj_0", "data/aotinductor/model/model.so"]
)
def test_an_exported_program_with_code_in_it_is_not_loaded(
    program: Path, tmp_path: Path, part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    content = BytesIO()
    torch.save(Burglar(), content)
    with zipfile.ZipFile(program) as source, zipfile.ZipFile("evil.pt2", "w") as evil:
        for name in source.namelist():
            if not name.endswith(part):
                evil.writestr(name, source.read(name))
        evil.writestr(f"model/{part}", content.getvalue())
    with pytest.raises(NotStored, match="run code"):
        save("evil.pt2", name="evil")
    assert not (tmp_path / "burgled").exists()


def test_a_pickled_module_is_refused_with_advice(tmp_path: Path) -> None:
    torch.save(torch.nn.Linear(4, 3), tmp_path / "module.pt")
    with pytest.raises(NotStored, match="pickled module cannot be served"):
        save(tmp_path / "module.pt", name="net", feature_names=NAMES)
    (tmp_path / "plain.pt").write_bytes(pickle.dumps([1]))
    with pytest.raises(NotStored, match="cannot be read"):
        save(tmp_path / "plain.pt", name="net", feature_names=NAMES)


@pytest.mark.parametrize(
    ("estimator", "options", "message"),
    [
        (LogisticRegression(), {"example": ROWS}, "not fitted yet"),
        (LogisticRegression().fit(ROWS[:, :1], TRUTH), {"name": "No Name"}, "cannot be a model's name"),
        (LogisticRegression().fit(ROWS[:, :1], TRUTH), {"example": ROWS}, "The number of features does not agree"),
        (LogisticRegression().fit(ROWS[:, :1], TRUTH), {"labels": ("a", "b")}, "3 classes apart; 2 labels"),
        (LogisticRegression().fit(ROWS[:, :1], TRUTH), {"labels": ("a", "b", "a")}, "a label is there twice"),
        (LogisticRegression().fit(ROWS[:, :2], TRUTH), {"feature_names": ("a", "a")}, "a name of its own"),
        (LogisticRegression().fit(ROWS[:, :1], TRUTH), {"example": [["a"]]}, "a table of numbers"),
        (LogisticRegression().fit(ROWS[:, :1], TRUTH), {"example": np.zeros((0, 1))}, "rows of numbers"),
        (StandardScaler().fit(ROWS), {}, "has no method `predict`"),
        (xgboost.XGBClassifier(), {}, "not fitted yet"),
        (torch.nn.Linear(1, 1), {}, "torch.export.save"),
        ("nothing.onnx", {}, "There is no file"),
        (__file__, {}, "is of no known kind"),
    ],
)
def test_what_cannot_be_served_is_said_plainly(estimator: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(NotStored, match=f"(?i){message}"):
        save(estimator, **{"name": "mine", **options})
    assert store.list_specs() == ()


def test_a_file_that_is_not_what_its_name_says(tmp_path: Path) -> None:
    for suffix in ("onnx", "json", "ubj", "pt2", "skops"):
        path = tmp_path / f"model.{suffix}"
        path.write_text("{}" if suffix == "json" else "not a model")
        with pytest.raises(NotStored, match=path.name):
            save(path, name="mine")
