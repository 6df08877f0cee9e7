"""Networks of PyTorch: exported programs, TorchScript, and what is refused because it could run code."""

from __future__ import annotations

import os
import pickle
import zipfile
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from models import store
from models.errors import BadInput, NotStored
from models.save import add, make_wishes, save
from models.spec import TensorSpec
from tests.unit.models.own.irises import LABELS, NAMES, ROWS, probabilities

if TYPE_CHECKING:
    from pathlib import Path

    from models.spec import TensorEngine

pytestmark = pytest.mark.usefixtures("home")


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
