from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING

from services.gateway import banner
from services.gateway.banner import announce_when_ready
from tests.gateway import Bundle
from tests.virtual_time import run_virtually

if TYPE_CHECKING:
    import pytest

URL = "http://127.0.0.1:3000"
GRPC = "127.0.0.1:3001"


def test_says_what_loads_and_then_how_to_use_it(capsys: pytest.CaptureFixture[str]) -> None:
    async def scenario() -> None:
        bundle = Bundle()
        llm = bundle.dependencies["llm"]
        ready = llm.status
        llm.status = {"state": "starting", "reason": "Loading the weights."}
        bundle.monitor.start()
        announcing = asyncio.create_task(announce_when_ready(bundle.dataplane, URL, GRPC))
        await asyncio.sleep(10)
        early = capsys.readouterr().out
        assert f"Tandem at {URL} is loading: flowers (scikit-learn), trees (scikit-learn)" in early
        assert "The classical models are ready." in early
        assert "Tandem is ready" not in early
        llm.status = ready
        await announcing
        late = capsys.readouterr().out
        assert f"Tandem is ready at {URL}" in late
        assert f"curl -s {URL}/classify" in late
        assert 'model="fake-llm"' in late
        assert f"gRPC: {GRPC}" in late
        await bundle.monitor.stop()

    run_virtually(scenario())


def test_goes_on_without_a_language_model_that_cannot_start(capsys: pytest.CaptureFixture[str]) -> None:
    async def scenario() -> None:
        bundle = Bundle()
        bundle.dependencies["llm"].status = {"state": "failed", "reason": "No memory."}
        await bundle.monitor.look()
        await announce_when_ready(bundle.dataplane, URL, None)
        printed = capsys.readouterr().out
        assert re.search(r"cannot start: .*No memory\.", printed)
        assert "Tandem is ready" not in printed

    run_virtually(scenario())


def test_nothing_is_said_of_what_is_not_there() -> None:
    text = banner._banner(URL, "mini", None)
    assert "gRPC" not in text
    assert "{{" not in text
    assert "}}'" in text
