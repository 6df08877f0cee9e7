from __future__ import annotations

import gc
from typing import TYPE_CHECKING

import pytest

from services.runtime import settle_garbage_collector

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def collector() -> Iterator[None]:
    """Puts the collector back as it was."""
    before = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*before)


@pytest.mark.usefixtures("collector")
def test_start_up_objects_leave_the_collectors_sight_and_cycles_still_go() -> None:
    frozen = gc.get_freeze_count()
    settle_garbage_collector()
    assert gc.get_freeze_count() > frozen
    assert gc.isenabled()
    assert gc.get_threshold()[0] > 10_000
