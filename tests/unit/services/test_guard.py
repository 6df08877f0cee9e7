from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click
import pytest
from bentoml._internal.configuration.containers import BentoMLContainer
from bentoml.exceptions import BentoMLConfigException

from services.asgi import send_json
from services.classifier.hop import send_error
from services.guard import Guard, check_hop, guarded
from services.settings.hop import HopSettings
from tests.asgi import Client

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from services.asgi import ASGIApp, Receive, Scope, Send

TOKEN, OTHER = "a" * 32, "b" * 32
PICKLE = b"application/vnd.bentoml+pickle"


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    await send_json(send, 200, b'"let in"')


def hop(**fields: Any) -> HopSettings:
    return HopSettings.model_validate(fields)


async def status(guard: ASGIApp, path: str = "/iris", *headers: tuple[bytes, bytes]) -> int:
    client = Client()
    await client.ask(guard, "POST", path, headers)
    return client.status


def bearer(token: str) -> tuple[bytes, bytes]:
    return b"authorization", f"Bearer {token}".encode()


@pytest.mark.parametrize("path", ["/iris", "/_tandem/predict", "/metrics", "/schema.json", "/", "/livez/", "/readyz/x"])
async def test_everything_needs_the_token(path: str) -> None:
    guard = Guard(app, [TOKEN, OTHER], send_error)
    assert await status(guard, path) == 401
    assert await status(guard, path, bearer(TOKEN)) == 200
    assert await status(guard, path, bearer(OTHER)) == 200


@pytest.mark.parametrize(
    "header",
    [
        bearer(TOKEN[:-1]),
        bearer(TOKEN + "a"),
        bearer("c" * 32),
        bearer(""),
        (b"authorization", b"Basic " + TOKEN.encode()),
        (b"authorization", TOKEN.encode()),
        (b"authorization", b"Bearer \xff\xfe"),
        (b"x-api-key", TOKEN.encode()),
    ],
)
async def test_a_wrong_token_is_refused_with_a_sentence(header: tuple[bytes, bytes]) -> None:
    client = Client()
    await client.ask(Guard(app, [TOKEN], send_error), "GET", "/iris", [header])
    assert client.status == 401
    assert client.headers["www-authenticate"].startswith("Bearer")
    assert "Bearer" in json.loads(client.pieces[0])["error"]
    assert TOKEN.encode() not in client.pieces[0]


async def test_the_scheme_is_written_as_one_likes() -> None:
    assert (
        await status(Guard(app, [TOKEN], send_error), "/iris", (b"authorization", b"bearer  " + TOKEN.encode())) == 200
    )


async def test_a_second_header_does_not_help() -> None:
    headers = bearer(OTHER), bearer(TOKEN)
    assert await status(Guard(app, [TOKEN], send_error), "/iris", *headers) == 401


@pytest.mark.parametrize("path", ["/livez", "/healthz", "/readyz"])
async def test_probes_need_none(path: str) -> None:
    assert await status(Guard(app, [], send_error), path) == 200


@pytest.mark.parametrize("value", [PICKLE, b"Application/VND.bentoml+PICKLE; x=y", b"text/plain, " + PICKLE])
async def test_no_pickle_is_let_in_by_any_token(value: bytes) -> None:
    for tokens in (None, [TOKEN]):
        guard = Guard(app, tokens, send_error)
        for path in ("/iris", "/livez"):
            assert await status(guard, path, bearer(TOKEN), (b"content-type", value)) == 400
            two = (b"content-type", b"application/json"), (b"content-type", value)
            assert await status(guard, path, bearer(TOKEN), *two) == 400


@pytest.fixture
def at(request: pytest.FixtureRequest) -> Iterator[None]:
    """BentoML says that the Classifier listens at the parameter."""
    BentoMLContainer.remote_runner_mapping.set({"Classifier": request.param} if request.param else {})
    yield
    BentoMLContainer.remote_runner_mapping.reset()


@pytest.mark.parametrize("at", ["file:///tmp/socket"], indirect=True)
@pytest.mark.usefixtures("at")
def test_nothing_stands_before_a_unix_socket() -> None:
    assert guarded(app, "Classifier", hop(token=TOKEN), send_error) is app


@pytest.mark.parametrize("at", ["http://127.0.0.1:3000", "tcp://127.0.0.1:3000", None], indirect=True)
@pytest.mark.usefixtures("at")
async def test_loopback_is_open_until_there_is_a_token_but_not_for_pickles() -> None:
    free = guarded(app, "Classifier", hop(), send_error)
    assert await status(free) == 200
    assert await status(free, "/iris", (b"content-type", PICKLE)) == 400
    assert await status(guarded(app, "Classifier", hop(token=TOKEN), send_error)) == 401


@pytest.mark.parametrize("at", ["http://localhost:3000", "http://10.0.0.7:3000", "http://:::3000"], indirect=True)
@pytest.mark.usefixtures("at")
async def test_a_network_is_shut_without_a_token() -> None:
    shut = guarded(app, "Classifier", hop(), send_error)
    assert await status(shut) == 401
    assert await status(shut, "/iris", bearer("")) == 401
    assert await status(shut, "/readyz") == 200
    assert await status(guarded(app, "Classifier", hop(token=TOKEN), send_error), "/iris", bearer(TOKEN)) == 200
    assert await status(guarded(app, "Classifier", hop(auth="off"), send_error)) == 200


def served(host: str, settings: HopSettings) -> None:
    """`bentoml serve` of the Classifier alone."""
    context = click.Context(click.Command("serve"))
    context.params["host"] = host
    with context.scope():
        check_hop("Classifier", settings)


def test_a_role_does_not_start_beyond_loopback_without_a_token(tmp_path: Path) -> None:
    with pytest.raises(BentoMLConfigException, match=r"Classifier would listen on 0\.0\.0\.0.*TANDEM_HOP__AUTH=off"):
        served("0.0.0.0", hop())
    served("127.0.0.1", hop())
    served("0.0.0.0", hop(token=TOKEN))
    served("0.0.0.0", hop(auth="off"))
    with pytest.raises(BentoMLConfigException, match="cannot be read"):
        served("127.0.0.1", hop(token_file=tmp_path / "nowhere"))


def test_a_dependency_on_a_socket_needs_no_token() -> None:
    context = click.Context(click.Command("serve"))
    context.params["host"] = "0.0.0.0"
    context.meta["tandem.served"] = "Gateway"
    with context.scope():
        check_hop("Classifier", hop())
