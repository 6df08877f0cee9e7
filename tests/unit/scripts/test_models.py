from __future__ import annotations

import json
from typing import TYPE_CHECKING

import joblib
import numpy as np
import pytest
from click.testing import CliRunner
from sklearn.linear_model import LogisticRegression, Ridge

from models import store
from models.errors import NotStored
from models.save import save
from scripts.models import main, read_example

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result

ROWS = np.array([[0, 1], [1, 0], [2, 2], [3, 1]], float)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENTOML_HOME", str(tmp_path / "home"))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "model.joblib"
    joblib.dump(LogisticRegression().fit(ROWS, ["a", "b", "b", "b'"]), path)
    return path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_add_tells_what_was_stored_and_how_to_ask_it(file: Path) -> None:
    done = run("add", file, "--name", "mine", "--features", "x, y", "--trust-pickle")
    assert done.exit_code == 0, done.output
    spec, _ = store.find("mine")
    assert f"Stored mine:{spec.version}" in done.output
    assert "features: FP32 [-1, 2] (x, y)" in done.output
    assert "/v2/repository/models/mine/load" in done.output
    assert '{"model": "mine", "rows": [{"x": 0.0, "y": 0.0}]}' in done.output


def test_add_says_in_one_line_why_not(file: Path) -> None:
    done = run("add", file, "--name", "mine")
    assert done.exit_code == 1
    assert done.output.startswith("Error: Not stored. model.joblib is a pickle.")
    assert store.list_specs() == ()
    assert "not like image:FP32" in run("add", file, "--name", "mine", "--input", "image").output
    assert "empty name" in run("add", file, "--name", "mine", "--labels", "a,,b").output


def test_list_show_and_remove(file: Path) -> None:
    assert "There are no models" in run("list").output
    run("add", file, "--name", "mine", "--trust-pickle", "--description", "First.")
    first = store.find("mine")[0].version
    save(Ridge().fit(ROWS, ROWS[:, 0]), name="line")
    assert [line.split()[0] for line in run("list").output.splitlines()] == ["line", "mine"]
    shown = run("show", f"mine:{first}").output
    assert "labels: a, b, b'" in shown
    assert "First." in shown
    assert "/v2/models/line/infer" in run("show", "line").output
    assert "not in the model store" in run("show", "nothing").output

    assert run("remove", "mine").exit_code == 1  # nobody says yes
    assert f"Deleted mine:{first}." in run("remove", f"mine:{first}").output
    assert run("remove", "mine", "--yes").exit_code == 1
    assert run("remove", "line", "--yes").exit_code == 0
    assert store.list_specs() == ()


@pytest.mark.parametrize(
    ("name", "text", "columns"),
    [
        ("rows.csv", "x,y\n1,2\n3,4\n", ("x", "y")),
        ("rows.csv", "1,2\n3,4\n", None),
        ("rows.json", json.dumps([[1, 2], [3, 4]]), None),
        ("rows.json", json.dumps({"rows": [{"x": 1, "y": 2}, {"x": 3, "y": 4}]}), ("x", "y")),
    ],
)
def test_examples_in_files(tmp_path: Path, name: str, text: str, columns: tuple[str, ...] | None) -> None:
    path = tmp_path / name
    path.write_text(text)
    rows, named = read_example(path)
    assert np.asarray(rows).tolist() == [[1, 2], [3, 4]]
    assert named == columns


def test_an_example_that_is_none(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("x,y\n1,two\n")
    with pytest.raises(NotStored, match=r"rows\.csv is no table of numbers"):
        read_example(path)
    np.save(tmp_path / "rows.npy", np.array([object()]), allow_pickle=True)
    with pytest.raises(NotStored, match=r"rows\.npy"):
        read_example(tmp_path / "rows.npy")
