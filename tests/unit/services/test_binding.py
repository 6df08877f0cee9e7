from __future__ import annotations

import click
import pytest

from services.binding import asked_host, host_of, is_loopback, is_served


@pytest.mark.parametrize(
    ("own_url", "host"),
    [
        ("http://127.0.0.1:3000", "127.0.0.1"),
        ("https://10.0.0.7:443", "10.0.0.7"),
        ("http://localhost:3000", "0.0.0.0"),
        ("http://::1:3000", "::1"),
        (None, "127.0.0.1"),
    ],
)
def test_grpc_listens_where_http_does(own_url: str | None, host: str) -> None:
    assert host_of(own_url) == host


@pytest.mark.parametrize(
    ("host", "answer"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("localhost", True)]
    + [(host, False) for host in ("0.0.0.0", "::", "10.0.0.7", "localhost.example", "")],
)
def test_loopback(host: str, answer: bool) -> None:
    assert is_loopback(host) is answer


def test_the_host_is_the_option_else_bentomls() -> None:
    assert asked_host() == "0.0.0.0"
    context = click.Context(click.Command("serve"))
    context.params["host"] = "10.0.0.7"
    with context.scope():
        assert asked_host() == "10.0.0.7"


def test_the_service_whose_hook_runs_first_is_the_one_that_is_served() -> None:
    with click.Context(click.Command("serve")).scope():
        assert is_served("Gateway")
        assert not is_served("Classifier")
        assert is_served("Gateway")
    with click.Context(click.Command("serve")).scope():
        assert is_served("Classifier")
    assert not is_served("Classifier")
