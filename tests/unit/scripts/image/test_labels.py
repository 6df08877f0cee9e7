from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from scripts.image.labels import labels

if TYPE_CHECKING:
    from pathlib import Path

PREFIX = "org.opencontainers.image."


def git(root: Path, *arguments: str) -> None:
    subprocess.run(["git", "-c", "user.name=t", "-c", "user.email=t@t", *arguments], cwd=root, check=True)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "x"\nversion = "1.2.3"\nlicense = "Apache-2.0"\n')
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "--message", "Begin")
    return tmp_path


def test_version_licence_and_commit_are_said(checkout: Path) -> None:
    said = labels(checkout, "base:1", "https://code/x")
    assert said[f"{PREFIX}version"] == "1.2.3"
    assert said[f"{PREFIX}licenses"] == "Apache-2.0"
    assert said[f"{PREFIX}source"] == "https://code/x"
    assert said[f"{PREFIX}base.name"] == "base:1"
    assert len(said[f"{PREFIX}revision"]) == 40


def test_what_is_not_committed_shows(checkout: Path) -> None:
    (checkout / "pyproject.toml").write_text((checkout / "pyproject.toml").read_text() + "\n")
    assert labels(checkout, "base")[f"{PREFIX}revision"].endswith("-changed")


@pytest.mark.parametrize(
    ("remote", "source"),
    [
        ("https://somebody:secret@code.org/x/y.git", "https://code.org/x/y.git"),
        ("git@code.org:x/y.git", "https://code.org/x/y.git"),
        ("ssh://git@code.org:22/x/y", "https://code.org/x/y"),
        ("http://localhost:8080/x", "http://localhost:8080/x"),
        ("/srv/git/x", None),
    ],
)
def test_the_remote_is_named_without_its_secrets(checkout: Path, remote: str, source: str | None) -> None:
    git(checkout, "remote", "add", "origin", remote)
    assert labels(checkout, "base").get(f"{PREFIX}source") == source


def test_outside_a_checkout_nothing_is_made_up(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "x"\nversion = "1"\nlicense = "MIT"\n')
    assert f"{PREFIX}revision" not in labels(tmp_path, "base")
