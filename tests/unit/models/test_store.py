from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest

from models import store
from models.engines import linear
from models.errors import ModelBroken, ModelMissing

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from models.spec import ModelSpec


def writer(slope: float = 1.0) -> Callable[[Path], None]:
    coefficients = np.array([[0.0, 0.0], [slope, 0.0]])
    return lambda folder: linear.write(folder, coefficients, np.zeros(2), np.zeros(2))


def test_what_is_saved_can_be_found_and_predicts(home: Path, make_spec: Callable[..., ModelSpec]) -> None:
    saved = store.save(make_spec(), writer())
    assert saved.version.startswith("20260102t030405-")
    assert store.find("toy") == (saved, home / "models" / "toy" / saved.version)
    engine = store.load_classifier("toy")
    assert engine.spec == saved
    probabilities = engine.predict(np.array([[0, 0], [3, 0]], dtype=np.float32))
    np.testing.assert_allclose(probabilities[:, 1], [0.5, 1 / (1 + np.exp(-3))], rtol=1e-6)


def test_the_newest_version_is_the_default_and_older_ones_can_be_asked_for(
    home: Path, make_spec: Callable[..., ModelSpec]
) -> None:
    newer = store.save(make_spec(trained_at="2026-05-01T00:00:00Z"), writer(2.0))
    older = store.save(make_spec(), writer(1.0))
    assert store.list_specs() == (newer,)
    assert store.list_specs(all_versions=True) == (newer, older)
    assert store.load_classifier("toy").spec == newer
    assert store.load("toy", older.version).spec == older


def test_saving_the_same_again_changes_nothing(home: Path, make_spec: Callable[..., ModelSpec]) -> None:
    first = store.save(make_spec(), writer())
    again = store.save(make_spec(trained_at="2026-05-01T00:00:00Z"), writer())
    assert again == first
    assert store.list_specs(all_versions=True) == (first,)


def test_other_facts_about_the_same_weights_make_a_new_version(home: Path, make_spec: Callable[..., ModelSpec]) -> None:
    store.save(make_spec(), writer())
    store.save(make_spec(trained_at="2026-05-01T00:00:00Z", description="Now told better."), writer())
    assert len(store.list_specs(all_versions=True)) == 2


def test_bentoml_sees_the_model_and_its_facts(home: Path, make_spec: Callable[..., ModelSpec]) -> None:
    saved = store.save(make_spec(metrics={"accuracy": 0.9}), writer())
    program = "import bentoml; m = bentoml.models.get('toy:latest'); print(m.tag, m.info.metadata['metrics'])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"toy:{saved.version} {{'accuracy': 0.9}}"


@pytest.mark.parametrize(
    ("name", "version"),
    [("absent", None), ("toy", "absent"), ("..", None), ("../toy", None), ("toy", ".."), ("toy", "../toy"), ("", None)],
)
def test_what_is_not_there_is_missing(
    home: Path, make_spec: Callable[..., ModelSpec], name: str, version: str | None
) -> None:
    store.save(make_spec(), writer())
    with pytest.raises(ModelMissing, match="not in the model store"):
        store.load(name, version)


def test_another_user_may_read_a_stored_model(home: Path, make_spec: Callable[..., ModelSpec]) -> None:
    saved = store.save(make_spec(), writer())
    folder = home / "models" / "toy" / saved.version
    assert folder.stat().st_mode == folder.parent.stat().st_mode
    assert all(file.stat().st_mode & 0o044 for file in folder.iterdir())


def test_models_of_others_are_left_alone(home: Path, make_spec: Callable[..., ModelSpec]) -> None:
    foreign = home / "models" / "foreign" / "v1"
    foreign.mkdir(parents=True)
    (foreign / "model.yaml").write_text("name: foreign\n")
    saved = store.save(make_spec(), writer())
    assert store.list_specs() == (saved,)
    with pytest.raises(ModelMissing):
        store.find("foreign")


def test_one_broken_spec_does_not_hide_the_others(
    home: Path, make_spec: Callable[..., ModelSpec], caplog: pytest.LogCaptureFixture
) -> None:
    saved = store.save(make_spec(), writer())
    broken = home / "models" / "toy" / "broken"
    broken.mkdir()
    (broken / store.SPEC_FILE).write_text("{")
    assert store.list_specs() == (saved,)
    assert "toy:broken" in caplog.text
    with pytest.raises(ModelBroken, match="toy:broken cannot be read"):
        store.load("toy", "broken")


def test_a_spec_in_the_wrong_folder_is_broken(home: Path, make_spec: Callable[..., ModelSpec]) -> None:
    saved = store.save(make_spec(), writer())
    path = home / "models" / "toy" / saved.version
    path.rename(path.with_name("moved"))
    with pytest.raises(ModelBroken, match=saved.version):
        store.find("toy", "moved")


def test_a_model_that_cannot_be_written_leaves_nothing_behind(home: Path, make_spec: Callable[..., ModelSpec]) -> None:
    def fail(folder: Path) -> None:
        (folder / "half").write_text("half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        store.save(make_spec(), fail)
    assert store.list_specs() == ()


def test_the_spec_beside_the_weights_is_plain_json(home: Path, make_spec: Callable[..., ModelSpec]) -> None:
    saved = store.save(make_spec(), writer())
    stored = json.loads((home / "models" / "toy" / saved.version / store.SPEC_FILE).read_text())
    assert stored["features"][0] == make_spec().features[0].model_dump()


def test_listing_imports_no_framework(home: Path, make_spec: Callable[..., ModelSpec]) -> None:
    store.save(make_spec(), writer())
    heavy = "{'bentoml', 'torch', 'sklearn', 'xgboost', 'onnxruntime', 'onnx', 'numpy'}"
    program = f"import sys; from models import store; assert store.list_specs(); print({heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
