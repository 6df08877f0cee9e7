from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING

import pytest

from models import store
from models.classifiers.catalogue import RECIPES
from scripts import train

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BENTOML_HOME", str(tmp_path))
    return tmp_path


def test_training_prints_the_held_out_metrics_and_stores_the_model(capsys: pytest.CaptureFixture[str]) -> None:
    assert train.main(["iris"]) == 0
    (spec,) = store.list_specs()
    printed = capsys.readouterr().out
    assert f"iris:{spec.version} stored" in printed
    assert "accuracy" in printed
    assert "at least 0.93" in printed


def test_training_again_says_that_nothing_changed(capsys: pytest.CaptureFixture[str]) -> None:
    train.main(["iris"])
    train.main(["iris"])
    assert "as it already was" in capsys.readouterr().out
    assert len(store.list_specs(all_versions=True)) == 1


def test_a_model_below_its_floor_is_not_stored(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    strict = {"iris": replace(RECIPES["iris"], floors={"accuracy": 0.999})}
    monkeypatch.setattr(train, "RECIPES", MappingProxyType(strict))
    assert train.main(["iris"]) == 1
    assert store.list_specs() == ()
    assert "Not stored. iris: accuracy is" in capsys.readouterr().err


def test_an_unknown_name_is_refused_before_anything_is_trained(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        train.main(["iris", "tulip"])
    assert "no such model: tulip; there are iris" in capsys.readouterr().err
    assert store.list_specs() == ()


def test_if_missing_leaves_what_is_there_alone_and_imports_no_framework(capsys: pytest.CaptureFixture[str]) -> None:
    train.main(["iris"])
    program = """
import json, sys
from scripts import train
code = train.main(["--if-missing", "iris"])
print(json.dumps([code, sorted({"bentoml", "torch", "sklearn", "xgboost", "onnxruntime"} & set(sys.modules))]))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [0, []]
