from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, Literal

import pytest

from services.llm.channels import Channels
from services.llm.front import EngineFront, EngineStatus
from tests.asgi import Client

if TYPE_CHECKING:
    from services.asgi import ASGIApp, Receive, Scope, Send
    from services.llm.front import State


class FakeApp:
    """An engine's app: two pieces, the second when told to."""

    def __init__(self) -> None:
        self.go_on = asyncio.Event()
        self.scopes: list[Scope] = []
        self.fail_before = False
        self.fail_within = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scopes.append(scope)
        if self.fail_before:
            raise RuntimeError("no answer")
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"one", "more_body": True})
        await self.go_on.wait()
        if self.fail_within:
            raise RuntimeError("half an answer")
        await send({"type": "http.response.body", "body": b"two"})


class FakeHost:
    def __init__(self, state: State, app: ASGIApp | None = None) -> None:
        reason = None if state == "ready" else f"it is {state}"
        self.status = EngineStatus(state, reason, "mini", ("mini", "polite"), 1.26)
        self.app = app


def front(host: Any, gpus: Any = lambda: None) -> EngineFront:
    return EngineFront(host, gpus, None, Channels())


async def ask(app: ASGIApp, path: str, method: str = "GET") -> Client:
    client = Client()
    await client.ask(app, method, path)
    return client


def body(client: Client) -> Any:
    return json.loads(b"".join(client.pieces))


@pytest.mark.parametrize("state", ["starting", "ready", "failed"])
async def test_status_is_answered_in_every_state(state: Literal["starting", "ready", "failed"]) -> None:
    gpus = [{"index": 0, "name": "H", "used": 1, "total": 2}]
    client = await ask(front(FakeHost(state), lambda: gpus), "/_tandem/status")
    assert client.status == 200
    assert body(client) == {
        "state": state,
        "reason": None if state == "ready" else f"it is {state}",
        "model": "mini",
        "models": ["mini", "polite"],
        "loading_seconds": 1.3,
        "active_requests": 0,
        "gpu_memory": gpus,
    }


@pytest.mark.parametrize("state", ["starting", "ready", "failed"])
async def test_metrics_are_told_in_every_state(state: Literal["starting", "ready", "failed"]) -> None:
    gpus = [{"index": 0, "name": "H", "used": 1, "total": 2}]
    client = await ask(front(FakeHost(state), lambda: gpus), "/metrics")
    text = b"".join(client.pieces).decode()
    assert client.status == 200
    assert 'tandem_gpu_memory_used_bytes{gpu="0",name="H"} 1.0' in text
    assert ('model="polite"' in text) == (state == "ready")


@pytest.mark.parametrize("path", ["/v1/models", "/v1/chat/completions", "/health", "/nope"])
@pytest.mark.parametrize("state", ["starting", "failed"])
async def test_nothing_else_is_served_before_the_engine_is_ready(
    state: Literal["starting", "failed"], path: str
) -> None:
    client = await ask(front(FakeHost(state)), path, "POST")
    assert client.status == 503
    assert int(client.headers["retry-after"]) > 0
    assert client.headers["content-type"] == "application/json"
    error = body(client)["error"]
    assert error["type"] == "server_error"
    assert error["code"] == "unavailable"
    assert error["param"] is None
    assert error["message"]


async def test_a_failed_start_is_not_told_to_clients() -> None:
    """The reason may name folders: it is for the operator, in the log and in the status."""
    client = await ask(front(FakeHost("failed")), "/v1/models")
    assert "it is failed" not in body(client)["error"]["message"]


@pytest.mark.parametrize("state", ["starting", "ready", "failed"])
async def test_liveness_does_not_depend_on_the_engine(state: Literal["starting", "ready", "failed"]) -> None:
    for path in ("/livez", "/healthz"):
        assert (await ask(front(FakeHost(state)), path)).status == 200


async def test_readiness_is_a_status_and_nothing_else() -> None:
    client = await ask(front(FakeHost("ready", FakeApp())), "/readyz")
    assert (client.status, client.pieces) == (200, [])
    hosts = FakeHost("starting"), FakeHost("failed"), FakeHost("hung", FakeApp())
    for host in hosts:
        client = await ask(front(host), "/readyz")
        assert (client.status, client.pieces) == (503, [])
        assert int(client.headers["retry-after"]) > 0


async def test_a_stream_passes_untouched_and_is_counted_while_it_lasts() -> None:
    app = FakeApp()
    under_test = front(FakeHost("ready", app))
    client = Client()
    asking = asyncio.create_task(client.ask(under_test, "POST", "/v1/completions"))
    await client.received_body.wait()
    assert under_test.active_requests == 1
    assert app.scopes[0]["path"] == "/v1/completions"
    app.go_on.set()
    await asking
    assert client.pieces == [b"one", b"two"]
    assert client.complete
    assert under_test.active_requests == 0


async def test_looks_at_the_engine_are_not_requests_to_it() -> None:
    app = FakeApp()
    under_test = front(FakeHost("ready", app))
    client = Client()
    asking = asyncio.create_task(client.ask(under_test, "GET", "/metrics"))
    await client.received_body.wait()
    assert under_test.active_requests == 0
    app.go_on.set()
    await asking


async def test_a_cancelled_request_is_no_longer_counted() -> None:
    under_test = front(FakeHost("ready", FakeApp()))
    client = Client()
    asking = asyncio.create_task(client.ask(under_test, "POST", "/v1/completions"))
    await client.received_body.wait()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert under_test.active_requests == 0


async def test_an_app_that_raises_before_its_answer_gives_a_500(caplog: pytest.LogCaptureFixture) -> None:
    app = FakeApp()
    app.fail_before = True
    under_test = front(FakeHost("ready", app))
    client = await ask(under_test, "/v1/completions", "POST")
    assert client.status == 500
    assert body(client)["error"]["code"] == "internal_error"
    assert "no answer" not in body(client)["error"]["message"]
    assert "no answer" in caplog.text
    assert under_test.active_requests == 0


async def test_an_app_that_raises_within_its_answer_breaks_the_connection() -> None:
    app = FakeApp()
    app.fail_within = True
    app.go_on.set()
    client = Client()
    with pytest.raises(RuntimeError):
        await client.ask(front(FakeHost("ready", app)), "POST", "/v1/completions")
    assert not client.complete
