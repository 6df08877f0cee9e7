from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from services.llm.log import OneLine

if TYPE_CHECKING:
    import pytest


class EngineDeadError(Exception):
    """Named as vLLM's."""


def test_vllm_speaks_in_single_lines(caplog: pytest.LogCaptureFixture) -> None:
    theirs = logging.getLogger("vllm.test")
    handler = OneLine()
    theirs.addHandler(handler)
    theirs.propagate = False
    try:
        theirs.error("It failed:", exc_info=ValueError("bad\nvalue"))
        theirs.error("Reported elsewhere", exc_info=EngineDeadError())
        theirs.warning("[shutdown] going down")
    finally:
        theirs.removeHandler(handler)
    assert [record.getMessage() for record in caplog.records] == ["vLLM: It failed: ValueError: bad value"]
