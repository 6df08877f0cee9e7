from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest

from services.roles import TARGETS, role_problems, serves_gateway
from services.settings.gateway import GatewaySettings
from services.settings.hop import HopSettings
from services.settings.tree import Role, Settings

ELSEWHERE = "http://tandem.example:3000"


@pytest.mark.parametrize("role", TARGETS)
def test_every_role_names_a_service(role: Role) -> None:
    module, _, name = TARGETS[role].partition(":")
    assert getattr(import_module(module), name).name == name
    assert serves_gateway(role) == (name == "Gateway")


def test_a_gateway_alone_needs_both_addresses() -> None:
    assert role_problems(Settings()) == []
    assert len(role_problems(Settings(role="gateway"))) == 2
    one = GatewaySettings(classifier_url=ELSEWHERE)
    [problem] = role_problems(Settings(role="gateway", gateway=one))
    assert problem.endswith("TANDEM_GATEWAY__LLM_URL.")
    assert role_problems(Settings(gateway=one)) == []
    both = GatewaySettings(classifier_url=ELSEWHERE, llm_url=ELSEWHERE)
    assert role_problems(Settings(role="gateway", gateway=both)) == []


def test_a_token_file_that_cannot_be_used_is_a_problem() -> None:
    missing = Settings(role="llm", hop=HopSettings(token_file=Path("nowhere")))
    assert "nowhere cannot be read" in role_problems(missing)[0]


@pytest.mark.parametrize(
    "url", ["classifier:3000", "ftp://host", "http://host/path", "http://user@host", "http://a b", "file:///socket"]
)
def test_an_address_is_scheme_host_and_port(url: str) -> None:
    with pytest.raises(ValueError, match="classifier_url"):
        GatewaySettings(classifier_url=url)
