"""Settings that name a language model, and a folder that is one as far as its engine's arguments go."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from services.settings.llm import LLMSettings

if TYPE_CHECKING:
    from pathlib import Path


def write_config(folder: Path, **content: Any) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(content))


def settings(**fields: Any) -> LLMSettings:
    return LLMSettings(**{"model": "org/some-model", **fields})
