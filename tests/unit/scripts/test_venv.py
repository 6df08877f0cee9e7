from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from scripts.host import SetupError
from scripts.venv import Venv

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project whose sets name no package, so that installing them needs nothing."""
    (tmp_path / "requirements").mkdir()
    for name in ("uv", "cpu", "dev"):
        (tmp_path / "requirements" / f"{name}.txt").write_text(f"# the {name} set\n")
    return tmp_path


def recorded(root: Path, **entries: str) -> Venv:
    """An environment with that record, whose Python is the one that runs this test."""
    (root / ".venv" / "bin").mkdir(parents=True)
    (root / ".venv" / "bin" / "python").symlink_to(sys.executable)
    (root / ".venv" / "tandem.json").write_text(json.dumps(entries))
    return Venv(root)


def test_nothing_there_holds_nothing(root: Path) -> None:
    venv = Venv(root)
    assert venv.state == {}
    assert not venv.usable()
    assert not venv.holds("cpu")


def test_an_interrupted_creation_starts_over_and_a_finished_one_is_usable(root: Path) -> None:
    venv = recorded(root)
    (venv.folder / "half").touch()
    assert not venv.usable()
    assert venv.create() == "made"
    assert venv.usable()
    assert not (venv.folder / "half").exists()


def test_what_was_installed_is_remembered(root: Path) -> None:
    venv = recorded(root, python="3.11.7")
    assert not venv.holds("cpu")
    venv.install("cpu")
    assert Venv(root).holds("cpu")


def test_a_changed_requirement_file_is_noticed_and_a_touched_one_is_not(root: Path) -> None:
    venv = recorded(root, python="3.11.7")
    venv.install("cpu")
    pinned = root / "requirements" / "cpu.txt"
    pinned.touch()
    assert venv.holds("cpu")
    pinned.write_text("# other\n")
    assert not venv.holds("cpu")


def test_a_vanished_python_is_noticed(root: Path) -> None:
    venv = recorded(root, python="3.11.7")
    venv.python.unlink()
    venv.python.symlink_to("/nowhere/python3")
    assert not venv.usable()


def test_a_damaged_record_counts_as_none(root: Path) -> None:
    venv = recorded(root)
    (venv.folder / "tandem.json").write_text("{")
    assert venv.state == {}


def test_a_failed_installation_is_not_remembered(root: Path) -> None:
    venv = recorded(root, python="3.11.7")
    (root / "requirements" / "cpu.txt").write_text("no-such-package-of-tandem @ file:///nowhere\n")
    with pytest.raises(SetupError, match=r"cpu\.txt"):
        venv.install("cpu")
    assert not venv.holds("cpu")


def test_somebody_elses_environment_is_taken_over(root: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "venv", "--without-pip", "--system-site-packages", root / ".venv"], check=True
    )
    kept = root / ".venv" / "mine"
    kept.touch()
    assert Venv(root).create() == "taken over as it was"
    assert kept.exists()


def test_pins_are_the_lines_that_name_a_package(root: Path) -> None:
    (root / "requirements" / "cpu.txt").write_text("# head\none==1\n\ntwo==2\n")
    assert Venv(root).pins("cpu") == ["one==1", "two==2"]


def test_running_its_python_reports_failure(root: Path) -> None:
    venv = recorded(root)
    venv.run("-c", "pass")
    with pytest.raises(SetupError, match="exit 3"):
        venv.run("-c", "raise SystemExit(3)")
