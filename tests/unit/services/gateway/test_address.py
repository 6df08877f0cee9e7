from __future__ import annotations

import pytest

from services.gateway.address import Address

TOKEN = "t" * 32


@pytest.mark.parametrize(
    ("url", "base", "host", "socket_path"),
    [
        ("file:///tmp/a%20b.sock", "http://localhost", "localhost", "/tmp/a b.sock"),
        ("tcp://10.0.0.1:3001", "http://10.0.0.1:3001", "10.0.0.1:3001", None),
        ("http://classifier:3000", "http://classifier:3000", "classifier:3000", None),
        ("http://classifier/", "http://classifier:80", "classifier", None),
        ("https://classifier", "https://classifier:443", "classifier", None),
        ("http://[fd00::1]:3000", "http://[fd00::1]:3000", "[fd00::1]:3000", None),
    ],
)
def test_every_form_of_address(url: str, base: str, host: str, socket_path: str | None) -> None:
    address = Address.parse(url)
    assert (address.base, address.socket_path) == (base, socket_path)
    assert address.headers == {"host": host}


def test_one_of_the_addresses_of_a_name_keeps_the_name() -> None:
    one = Address.parse("https://classifier:3000").at("10.0.0.7")
    assert one.base == "https://10.0.0.7:3000"
    assert (one.name, one.headers["host"]) == ("classifier", "classifier:3000")
    assert Address.parse("http://classifier:3000").at("fd00::1").base == "http://[fd00::1]:3000"


def test_the_token_is_shown_on_a_network_and_nowhere_else() -> None:
    assert Address.parse("http://classifier:3000", TOKEN).headers["authorization"] == f"Bearer {TOKEN}"
    assert "authorization" not in Address.parse("file:///tmp/socket", TOKEN).headers
    assert TOKEN not in repr(Address.parse("http://classifier:3000", TOKEN))
