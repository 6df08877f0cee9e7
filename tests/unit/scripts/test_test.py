from __future__ import annotations

from typing import TYPE_CHECKING

from scripts import test

if TYPE_CHECKING:
    import pytest


def test_a_selection_that_matches_nothing_fails_with_a_sentence(capfd: pytest.CaptureFixture[str]) -> None:
    assert test.main(["-q", "-p", "no:cacheprovider", "tests/unit/scripts/test_test.py", "-k", "no_such_test"]) == 5
    assert "No test was run" in capfd.readouterr().err


def test_arguments_reach_pytest(capfd: pytest.CaptureFixture[str]) -> None:
    assert test.main(["--collect-only", "-q", "-p", "no:cacheprovider", "tests/unit/scripts/test_lock.py"]) == 0
    assert "test_lock.py::" in capfd.readouterr().out
