from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.fakes import StoringClassifier
from tests.integration.bad_input.lab import MAX_BODY, SPECS, Lab
from tests.keys import control_over
from tests.stage import Stage

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module", params=["open", "limited"])
def lab(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """With limits, bodies are read for their tokens, and streams are asked for their usage."""
    control = None
    if request.param == "limited":
        most = {"requests_per_minute": 10**9, "tokens_per_minute": 10**15, "concurrent_requests": 1000}
        control, _ = control_over(tmp_path_factory.mktemp("keys"), caller=most)
    stage = Stage(SPECS, control=control, classifier=StoringClassifier(*SPECS), max_rows=200, max_body_bytes=MAX_BODY)
    lab = Lab(stage)
    yield lab
    lab.close()
