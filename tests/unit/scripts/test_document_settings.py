from __future__ import annotations

from scripts.document_settings import PAGE, page
from services.settings.tree import Settings


def test_the_committed_page_is_what_the_settings_say() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run `make docs`"


def test_every_setting_has_a_line_with_a_meaning() -> None:
    lines = [line for line in page().splitlines() if line.startswith("| `")]
    assert len(lines) > len(Settings.model_fields)
    assert not [line for line in lines if line.endswith("|  |")]


def test_no_path_of_this_machine_is_named() -> None:
    assert str(PAGE.parents[1]) not in page()
