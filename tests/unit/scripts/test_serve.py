from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from scripts.serve import environment, port_problem, settings_problems

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[3]


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


def test_the_environment_is_completed_and_the_callers_wins() -> None:
    env = environment({"PATH": "/bin", "BENTOML_HOME": "/mine", "TANDEM_AUTH": "off"}, "gpu")
    assert env["BENTOML_HOME"] == "/mine"
    assert env["TANDEM_AUTH"] == "off"
    assert env["TANDEM_LLM__DEVICE"] == "gpu"
    assert env["BENTOML_DO_NOT_TRACK"] == "True"
    assert env["PATH"] == f"{Path(sys.executable).parent}:/bin"
    assert environment({"TANDEM_LLM__DEVICE": "cpu"}, "gpu")["TANDEM_LLM__DEVICE"] == "cpu"
    assert "TANDEM_LLM__DEVICE" not in environment({}, "")


class Trial:
    """`scripts.serve` with a stand-in for BentoML: a parent and a child in a session of its own."""

    def __init__(self, folder: Path, parent: str) -> None:
        (folder / "bentoml").mkdir()
        (folder / "bentoml" / "__init__.py").touch()
        (folder / "bentoml" / "__main__.py").write_text(textwrap.dedent(parent))
        program = "import sys; from scripts.serve import main; sys.exit(main(sys.argv[1:]))"
        path = os.pathsep.join([str(folder), str(ROOT)])
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", program, "--port", "0"],
            env={**os.environ, "PYTHONPATH": path, "PYTHONSAFEPATH": "1", "BENTOML_HOME": str(folder / "home")},
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self.child = psutil.Process(int(self._process.stdout.readline()))

    def end(self, wish: signal.Signals | None = None) -> tuple[int, str]:
        """Sends `wish`, waits for the end; the exit status and what was printed after the first line."""
        if wish is not None:
            self._process.send_signal(wish)
        printed, _ = self._process.communicate(timeout=30)
        return self._process.returncode, printed


CHILD = """
    import os, signal, subprocess, sys, time
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
    print(child.pid, flush=True)
"""


@pytest.mark.parametrize("wish", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_stopping_leaves_no_process_behind(tmp_path: Path, wish: signal.Signals) -> None:
    trial = Trial(tmp_path, CHILD + "    time.sleep(600)\n")
    status, printed = trial.end(wish)
    assert status == 0
    assert printed.strip().endswith("Stopped.")
    assert not trial.child.is_running()


def test_a_server_that_dies_takes_its_workers_along(tmp_path: Path) -> None:
    trial = Trial(tmp_path, CHILD + "    os.kill(os.getpid(), signal.SIGKILL)\n")
    status, _ = trial.end()
    assert status == 1
    assert not trial.child.is_running()


def test_a_second_request_stops_at_once(tmp_path: Path) -> None:
    stubborn = "    signal.signal(signal.SIGTERM, lambda *_: print('asked', flush=True))\n"
    trial = Trial(
        tmp_path, CHILD.replace("    print(", stubborn + "    print(") + "    time.sleep(600)\n    time.sleep(600)\n"
    )
    trial._process.send_signal(signal.SIGINT)
    assert trial._process.stdout is not None
    while "asked" not in trial._process.stdout.readline():
        pass
    status, _ = trial.end(signal.SIGINT)
    assert status == 0
    assert not trial.child.is_running()
