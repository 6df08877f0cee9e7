from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

from models import store
from scripts.bench import growth
from scripts.bench.growth import POINTS, model_names
from scripts.bench.samples import Load
from services.settings.tree import Settings
from tests.unit.scripts.bench.test_samples import SAMPLE

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from models.spec import ModelSpec


def test_every_point_is_one_of_a_server_that_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len({point.title for point in POINTS}) == len(POINTS)
    for setup in {point.setup.name: point.setup for point in POINTS}.values():
        with monkeypatch.context() as patch:
            for name, value in setup.env.items():
                patch.setenv(name, value)
            settings = Settings()
        assert (settings.gateway.workers == 2) == (setup.name == "gateways")
        assert (settings.classifier.workers == 2) == (setup.name == "classifiers")
    assert all(point.models <= point.setup.copies for point in POINTS)


def test_copies_are_the_same_model_under_names_of_their_own(
    iris_spec: ModelSpec, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(growth, "WORK", tmp_path)
    monkeypatch.setenv("BENTOML_HOME", str(tmp_path / "home"))

    def write(path: Path) -> None:
        (path / "linear.json").write_text("{}")

    store.save(iris_spec, write)
    folder = growth._copied(3)
    specs = store.list_specs(folder=folder)
    assert [spec.name for spec in specs] == model_names(3) == ["iris", "iris-2", "iris-3"]
    assert all((folder / spec.name / spec.version / "linear.json").read_text() == "{}" for spec in specs)


def test_the_page_gets_the_table_and_the_file_the_points(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- bench:growth -->\nold\n<!-- end of bench:growth -->\nafter\n")
    bulk = next(point for point in POINTS if point.load.rows == 1000)
    one = replace(SAMPLE, peer=POINTS[0].title, per_second=1000.0, server_cores=0.5)
    many = replace(one, peer=bulk.title, load=Load(4, 1000))
    growth.publish([many, one], {"date": "today"}, tmp_path, page)
    lines = page.read_text().splitlines()
    assert (lines[0], lines[-1]) == ("before", "after")
    table = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if line.startswith("|")]
    assert [row[0] for row in table[2:]] == [POINTS[0].title, bulk.title]
    assert [row[3:5] for row in table[2:]] == [["500", "500.0"], ["500", "0.5"]]
    assert "old" not in page.read_text()
    content = json.loads((tmp_path / "growth.json").read_text())
    assert content["date"] == "today"
    assert len(content["points"]) == len(POINTS)
    assert POINTS[0].title in capsys.readouterr().out
