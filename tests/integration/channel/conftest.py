from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.integration.channel.hop import Hop

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@pytest.fixture
async def hop(tmp_path: Path) -> AsyncIterator[Hop]:
    async with Hop(tmp_path / "llm").running() as hop:
        yield hop
