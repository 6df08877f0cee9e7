from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.integration.tracing.callers import make
from tests.otlp import Collector, collecting

if TYPE_CHECKING:
    from collections.abc import Iterator

    from services.telemetry.tracing import Tracing


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as running:
        yield running


@pytest.fixture
def tracing(collector: Collector) -> Iterator[Tracing]:
    made = make(collector)
    yield made
    made.close()
