from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from scripts.host import SetupError
from scripts.setup import Step, Trained, perform, steps

if TYPE_CHECKING:
    from pathlib import Path


class FakeVenv:
    """Stands for an environment: what it holds is given, what is done to it is recorded."""

    def __init__(self, holding: set[str], *, usable: bool = True, device: str = "cpu", uv_fails: bool = False) -> None:
        self._holding = holding
        self._usable = usable
        self._uv_fails = uv_fails
        self.state = {"device": device}
        self.done: list[str] = []

    def usable(self) -> bool:
        return self._usable

    def holds(self, name: str) -> bool:
        return name in self._holding

    def pins(self, name: str) -> list[str]:
        return [f"{name}-package==1"]

    def create(self) -> str:
        self.done.append("create")
        return "made"

    def install_uv(self) -> None:
        if self._uv_fails:
            raise SetupError("no uv.")
        self.done.append("uv")

    def install(self, name: str) -> None:
        self.done.append(name)

    def note_device(self, device: str) -> None:
        self.state["device"] = device

    def run(self, *arguments: str) -> None:
        self.done.append(" ".join(arguments))


@pytest.fixture
def trained(tmp_path: Path) -> Trained:
    """A project with one training source and one stored model, whose training was finished."""
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts" / "train.py").write_text("one")
    (tmp_path / "home" / "models" / "iris").mkdir(parents=True)
    (tmp_path / "home" / "models" / "iris" / "latest").touch()
    found = Trained(tmp_path, tmp_path / "home")
    found.note()
    return found


def done(venv: FakeVenv, trained: Trained, device: str = "cpu", *, dev: bool = False, models: bool = True) -> list[str]:
    perform(list(steps(venv, trained, device, dev=dev, models=models)))  # type: ignore[arg-type]
    return venv.done


def test_a_complete_project_needs_nothing(trained: Trained) -> None:
    assert done(FakeVenv({"uv", "cpu"}), trained) == []


def test_a_fresh_project_needs_everything_in_order(trained: Trained, tmp_path: Path) -> None:
    (tmp_path / "home" / "models" / "iris" / "latest").unlink()
    venv = FakeVenv(set(), usable=False)
    assert done(venv, trained, dev=True) == ["create", "uv", "cpu", "dev", "-m scripts.train --if-missing"]


def test_only_what_is_asked_for_is_installed(trained: Trained) -> None:
    assert done(FakeVenv({"uv", "cpu"}), trained, dev=True) == ["dev"]


def test_changed_pins_are_installed_again(trained: Trained) -> None:
    assert done(FakeVenv({"uv", "dev"}), trained, dev=True) == ["cpu"]


def test_another_device_starts_over(trained: Trained) -> None:
    venv = FakeVenv({"uv", "cpu", "dev"})
    assert done(venv, trained, "gpu", dev=True) == ["create", "uv", "gpu", "dev"]
    assert venv.state["device"] == "gpu"


def test_without_uv_pip_goes_on(trained: Trained, capsys: pytest.CaptureFixture[str]) -> None:
    assert done(FakeVenv(set(), usable=False, uv_fails=True), trained) == ["create", "cpu"]
    assert "Going on with pip" in capsys.readouterr().out


def test_changed_training_sources_ask_for_training(trained: Trained, tmp_path: Path) -> None:
    (tmp_path / "scripts" / "train.py").write_text("two")
    assert not trained.complete()


def test_a_model_that_is_gone_asks_for_training(trained: Trained, tmp_path: Path) -> None:
    assert trained.complete()
    (tmp_path / "home" / "models" / "iris" / "latest").unlink()
    assert not trained.complete()


def test_each_step_says_what_it_does_and_how_long_it_took(capsys: pytest.CaptureFixture[str]) -> None:
    perform([Step("First", lambda: None), Step("Second", lambda: "done well")])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "[1/2] First"
    assert lines[1].strip().endswith(" s")
    assert lines[2] == "[2/2] Second"
    assert lines[3].endswith("s: done well")
