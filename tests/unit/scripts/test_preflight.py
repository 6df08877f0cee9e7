from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import pytest

from scripts.preflight import port_problem, settings_problems

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that this process listens on."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield server.getsockname()[1]


def test_a_free_port_is_no_problem(taken: int) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        free = probe.getsockname()[1]
    assert port_problem("127.0.0.1", free) is None


def test_a_taken_port_is_named_with_its_holder_and_a_way_out(taken: int) -> None:
    problem = port_problem("127.0.0.1", taken)
    assert problem is not None
    assert f"Port {taken} is taken by process {os.getpid()} (" in problem
    assert "make serve PORT=" in problem


def test_an_address_that_is_not_ours_is_said() -> None:
    problem = port_problem("192.0.2.1", 3000)
    assert problem is not None
    assert problem.startswith("Nothing can listen on 192.0.2.1:3000")


def test_good_settings_are_no_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TANDEM_LLM__EXTRA_ARGS", '["--seed", "7"]')
    assert settings_problems(os.environ) == []


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("TANDEM_GATEWY__WORKERS", "2", "TANDEM_GATEWY__WORKERS is no setting."),
        ("TANDEM_LLM__MODLE", "x", "llm.modle (TANDEM_LLM__MODLE) is no setting."),
        (
            "TANDEM_GATEWAY__WORKERS",
            "0",
            "gateway.workers (TANDEM_GATEWAY__WORKERS) is '0': input should be greater than or equal to 1.",
        ),
        ("TANDEM_CONFIG", "nowhere.yaml", "TANDEM_CONFIG names nowhere.yaml, and there is no such file."),
    ],
)
def test_a_wrong_setting_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str, problem: str) -> None:
    monkeypatch.setenv(name, value)
    assert settings_problems(os.environ) == [problem]


def test_a_role_that_lacks_something_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TANDEM_ROLE", "gateway")
    assert [problem.rpartition(" ")[2] for problem in settings_problems(os.environ)] == [
        "TANDEM_GATEWAY__CLASSIFIER_URL.",
        "TANDEM_GATEWAY__LLM_URL.",
    ]


def test_a_wrong_secret_is_named_and_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TANDEM_HOP__TOKEN", "too-short")
    [problem] = settings_problems(os.environ)
    assert problem.startswith("hop.token (TANDEM_HOP__TOKEN) is set: ")
    assert "too-short" not in problem
