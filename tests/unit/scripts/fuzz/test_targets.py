"""The fuzzing targets on their seeds and on what is near them; `make fuzz` goes on from there, where atheris is installed."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scripts.fuzz import __main__ as fuzz
from scripts.fuzz import targets

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("name", fuzz.TARGETS)
def test_target_takes_its_seeds_and_what_is_near_them(name: str) -> None:
    target = fuzz.TARGETS[name]
    for seed in fuzz.SEEDS[name]:
        target(seed)

    @settings(max_examples=60, derandomize=True, deadline=None, database=None)
    @given(st.sampled_from(fuzz.SEEDS[name]), st.integers(0, 400), st.integers(0, 3), st.binary(max_size=3))
    def bend(seed: bytes, at: int, gone: int, new: bytes) -> None:
        at = min(at, len(seed))
        target(seed[:at] + new + seed[at + gone :])

    bend()


def test_target_sees_a_broken_promise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(targets, "to_raw", lambda tensor: tensor.tobytes()[:-1])
    with pytest.raises(AssertionError):
        targets.raw_tensor(fuzz.SEEDS["raw_tensor"][0])


def test_one_file_can_be_tried_alone(tmp_path: Path) -> None:
    crash = tmp_path / "crash"
    crash.write_bytes(fuzz.SEEDS["frame"][0])
    assert fuzz.main(["frame", str(crash)]) == 0


def test_unknown_target_is_refused() -> None:
    with pytest.raises(SystemExit):
        fuzz.main(["nothing"])


def test_without_atheris_nothing_is_fuzzed_and_it_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert fuzz.main([]) == 0
    assert "atheris has no wheel" in capsys.readouterr().out


def test_what_a_target_finds_is_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Under the real atheris, where there is one."""
    pytest.importorskip("atheris", reason="there is no wheel for this machine", exc_type=ImportError)

    real = subprocess.run

    def run(command: list[str], **options: object) -> subprocess.CompletedProcess[bytes]:
        code = (
            "import sys, atheris\n"
            "def broken(data):\n    assert b'hop' not in data and len(data) < 60, 'it broke'\n"
            "atheris.Setup(['fuzz', *sys.argv[2:]], broken)\natheris.Fuzz()"
        )
        return real([sys.executable, "-c", code, *command[3:]], **options)  # type: ignore[call-overload,no-any-return]

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(fuzz, "FOLDER", tmp_path)
    assert fuzz.main(["frame", "--seconds", "5"]) == 1
    said = capsys.readouterr().out
    assert "frame broke" in said
    assert "it broke" in said
