from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from services.telemetry.spans import make_current

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _no_span_outlives_its_test() -> Iterator[None]:
    """A test without an event loop leaves what it sets in the context that all the others begin with."""
    yield
    make_current(None)
