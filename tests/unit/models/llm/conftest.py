from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.unit.models.llm.named import write_config

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A folder that holds a model as far as its engine's arguments go."""
    folder = tmp_path / "model"
    write_config(folder, max_position_embeddings=1024)
    return folder
