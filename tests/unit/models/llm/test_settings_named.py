"""What the embedded model and its page say about settings and commands must be so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from models.llm.training.facts import ELSEWHERE, FACTS
from services.settings.tree import Settings

ROOT = Path(__file__).parents[4]
TEXTS = {
    "the facts": "\n".join([*(fact.answer for fact in FACTS), ELSEWHERE]),
    "docs/llm.md": (ROOT / "docs" / "llm.md").read_text(),
}


@pytest.mark.parametrize("where", TEXTS)
def test_every_setting_that_is_named_exists(where: str) -> None:
    names = {name for name in re.findall(r"TANDEM_[A-Z_]+", TEXTS[where]) if not name.endswith("_")}
    assert names
    for name in names:
        fields = type(Settings()).model_fields
        for part in name.removeprefix("TANDEM_").lower().split("__"):
            assert part in fields, name
            fields = getattr(fields[part].annotation, "model_fields", {})


@pytest.mark.parametrize("where", TEXTS)
def test_every_make_target_that_is_named_exists(where: str) -> None:
    targets = set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"\bmake ([a-z-]+)", TEXTS[where]))
    assert named
    assert named <= targets, f"{where} names {named - targets}"
