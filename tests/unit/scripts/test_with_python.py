"""`scripts/with-python.sh`: which Python set-up starts with."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "scripts" / "with-python.sh"


def run(folder: Path, programs: Path, **env: str) -> subprocess.CompletedProcess[str]:
    """Runs the script in `folder` with nothing but `programs` and the shell on the PATH."""
    command = ["/bin/sh", str(SCRIPT), "-c", "import sys; print(sys.executable)"]
    found = {"PATH": str(programs), **env}
    return subprocess.run(command, cwd=folder, env=found, capture_output=True, text=True, check=False)


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    folder = tmp_path / "programs"
    folder.mkdir()
    (folder / "cat").symlink_to("/bin/cat")
    return folder


def program(path: Path, body: str) -> None:
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)


def test_the_first_python_that_is_fit_is_taken(tmp_path: Path, programs: Path) -> None:
    program(programs / "python3", "exit 1")  # too old, or a shim with nothing behind it
    program(programs / "python3.13", f'exec "{sys.executable}" "$@"')
    assert run(tmp_path, programs).stdout.strip() == sys.executable


def test_python_names_another(tmp_path: Path, programs: Path) -> None:
    assert run(tmp_path, programs, PYTHON=sys.executable).stdout.strip() == sys.executable


def test_none_is_said_plainly(tmp_path: Path, programs: Path) -> None:
    answer = run(tmp_path, programs)
    assert answer.returncode == 1
    assert "Python 3.11, 3.12 or 3.13" in answer.stderr
    assert "apt-get install python3 python3-venv" in answer.stderr


def test_a_finished_environment_is_preferred(tmp_path: Path, programs: Path) -> None:
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "tandem.json").write_text("{}")
    program(tmp_path / ".venv" / "bin" / "python", f'exec "{os.path.realpath(sys.executable)}" "$@"')
    assert run(tmp_path, programs).stdout.strip() == os.path.realpath(sys.executable)
