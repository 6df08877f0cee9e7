from __future__ import annotations

from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from pydantic import BaseModel, model_validator

from services.llm.malformed import answer_malformed


class Asked(BaseModel):
    """Checks itself as vLLM's requests do."""

    outputs: dict[str, Any] | None = None
    tools: list[Any] | None = None

    @model_validator(mode="before")
    @classmethod
    def check(cls, data: dict[str, Any]) -> dict[str, Any]:
        if data.get("outputs"):
            data["outputs"].get("json")
        for tool in data.get("tools") or ():
            tool["function"]["name"]
        return data


async def ask(body: Asked) -> dict[str, Any]:
    """Has a fault of its own."""
    return {"json": (body.outputs or {})["json"]}


@pytest.fixture(params=[True, False])
def client(request: pytest.FixtureRequest) -> httpx.AsyncClient:
    app = FastAPI()
    app.post("/")(ask)
    if request.param:  # as vLLM's comes
        app.middleware_stack = app.build_middleware_stack()
    answer_malformed(app)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://llm")


@pytest.mark.parametrize("body", [{"outputs": 3}, {"outputs": "x"}, {"tools": [{}]}, {"tools": [{"function": {}}]}])
async def test_what_breaks_the_reading_of_a_request_is_its_own_fault(client: httpx.AsyncClient, body: Any) -> None:
    answer = await client.post("/", json=body)
    assert answer.status_code == 400
    assert "type" in answer.json()["error"]["message"]


async def test_what_breaks_later_is_not(client: httpx.AsyncClient) -> None:
    assert (await client.post("/", json={"outputs": {"json": 1}})).json() == {"json": 1}
    assert (await client.post("/", json={"outputs": {"x": 1}})).status_code == 500
    assert (await client.post("/", json={"tools": 1.5})).status_code >= 400
