from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from pydantic import ValidationError

from services.settings.hop import HopSettings

if TYPE_CHECKING:
    from pathlib import Path

ONE, TWO = "1" * 32, "2" * 40


def test_a_token_is_a_setting_or_in_a_file_which_comes_first(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(f"{TWO}\n")
    assert HopSettings().tokens() == ()
    assert HopSettings.model_validate({"token": ONE}).tokens() == (ONE,)
    assert HopSettings.model_validate({"token": ONE, "token_file": file}).tokens() == (TWO,)


def test_a_token_that_is_being_changed_is_two_lines(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(f"{TWO}\n{ONE}\n")
    assert HopSettings(token_file=file).tokens() == (TWO, ONE)


@pytest.mark.parametrize("token", ["short", "x" * 31, "x" * 32 + " ", "é" * 32, "x" * 32 + "\n"])
def test_a_token_that_could_be_guessed_or_not_be_sent_is_refused_and_not_shown(token: str) -> None:
    with pytest.raises(ValidationError, match="at least 32"):
        HopSettings.model_validate({"token": token})


@pytest.mark.parametrize(
    ("content", "problem"), [(None, "cannot be read"), ("", "is empty"), ("\n \n", "is empty"), ("weak", "at least 32")]
)
def test_a_file_that_cannot_be_used_is_named(tmp_path: Path, content: str | None, problem: str) -> None:
    file = tmp_path / "token"
    if content is not None:
        file.write_text(content)
    with pytest.raises(ValueError, match=problem):
        HopSettings(token_file=file).tokens()


def test_a_token_is_never_shown() -> None:
    assert ONE not in repr(HopSettings.model_validate({"token": ONE}))
