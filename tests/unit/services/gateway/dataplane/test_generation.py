"""What is handed on to the language model as it is."""

from __future__ import annotations

import pytest

from services.gateway.explaining import CHAT_PATH
from services.gateway.streamed import ConnectionLost
from tests.fake_llm import LLM_NAME
from tests.unit.services.gateway.dataplane.stage import Stage


async def test_generation_is_handed_on_as_it_is() -> None:
    stage = await Stage.ready()
    async with stage.dataplane.generate("POST", CHAT_PATH, b"{}", {"x-one": "1"}) as response:
        assert response.status == 200
    (asked,) = stage.llm.asked
    assert (asked.method, asked.path, asked.body, asked.headers) == ("POST", CHAT_PATH, b"{}", {"x-one": "1"})
    stage.llm.error = ConnectionLost(answer_begun=True)
    with pytest.raises(ConnectionLost):
        async with stage.dataplane.generate("POST", CHAT_PATH, b"{}", {}):
            pass


async def test_names_of_the_language_model() -> None:
    stage = Stage()
    assert stage.dataplane.llm_models() == ()
    await stage.monitor.look()
    assert stage.dataplane.llm_models() == (LLM_NAME, "lora")
