from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from scripts.bench import environments

if TYPE_CHECKING:
    from pathlib import Path


UV = """#!/bin/sh
echo "$@" >> "$(dirname "$0")/calls"
if [ "$1" = venv ]; then eval folder=\\${$#}; mkdir -p "$folder/bin"; : > "$folder/bin/python"; fi
if grep -q unknown "$(dirname "$0")/peers/one/requirements.txt"; then echo "no such version" >&2; exit 1; fi
"""


@pytest.fixture
def workplace(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setattr(environments, "WORK", tmp_path / "work")
    monkeypatch.setattr(environments, "PEERS", tmp_path / "peers")
    (tmp_path / "peers" / "one").mkdir(parents=True)
    (tmp_path / "peers" / "one" / "requirements.txt").write_text("")
    uv = tmp_path / "uv"
    uv.write_text(UV)
    uv.chmod(0o755)
    monkeypatch.setattr(environments, "_uv", lambda: str(uv))
    return tmp_path


def test_an_environment_is_built_once_and_again_when_its_pins_change(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    python = environments.ensure("one")
    assert python.exists()
    assert environments.ensure("one") == python
    assert capsys.readouterr().out.count("building") == 1
    (workplace / "peers" / "one" / "requirements.txt").write_text("# changed\n")
    environments.ensure("one")
    assert capsys.readouterr().out.count("building") == 1


def test_a_missing_interpreter_makes_the_peer_unavailable(workplace: Path) -> None:
    with pytest.raises(environments.Unavailable, match="is not on this machine"):
        environments.ensure("one", interpreter="/nowhere/python3.11")


def test_pins_that_do_not_install_make_the_peer_unavailable(workplace: Path) -> None:
    (workplace / "peers" / "one" / "requirements.txt").write_text("unknown==1\n")
    with pytest.raises(environments.Unavailable, match="no such version"):
        environments.ensure("one")
    assert not (workplace / "work" / "one" / "fingerprint").exists()
