from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import psutil
import pytest

from scripts.serve import environment, home_of_role

ROOT = Path(__file__).parents[3]


def test_the_environment_is_completed_and_the_callers_wins() -> None:
    env = environment({"PATH": "/bin", "BENTOML_HOME": "/mine", "TANDEM_AUTH": "off"}, "gpu", "3101")
    assert env["BENTOML_HOME"] == "/mine"
    assert env["TANDEM_AUTH"] == "off"
    assert env["TANDEM_LLM__DEVICE"] == "gpu"
    assert env["TANDEM_GATEWAY__GRPC_PORT"] == "3101"
    assert env["BENTOML_DO_NOT_TRACK"] == "True"
    assert env["PATH"] == f"{Path(sys.executable).parent}:/bin"
    assert environment({"TANDEM_LLM__DEVICE": "cpu"}, "gpu")["TANDEM_LLM__DEVICE"] == "cpu"
    assert "TANDEM_LLM__DEVICE" not in environment({}, "")
    assert environment({}, "", role="llm")["TANDEM_ROLE"] == "llm"
    assert "TANDEM_ROLE" not in environment({}, "")


def test_roles_on_one_machine_share_models_and_nothing_else(tmp_path: Path) -> None:
    model = tmp_path / "models" / "iris"
    model.mkdir(parents=True)
    homes = [home_of_role(tmp_path, role, port) for role, port in (("llm", 1), ("classifier", 2), ("classifier", 3))]
    assert len(set(homes)) == 3
    assert all((home / "models" / "iris").samefile(model) for home in homes)
    assert home_of_role(tmp_path, "llm", 1) == homes[0]
    assert (home_of_role(tmp_path / "new", "llm", 1) / "models").is_dir()


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
            env={
                **os.environ,
                "PYTHONPATH": path,
                "PYTHONSAFEPATH": "1",
                "BENTOML_HOME": str(folder / "home"),
                "TANDEM_GATEWAY__GRPC_PORT": "0",
            },
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
    stubborn = "    signal.signal(signal.SIGINT, lambda *_: print('asked', flush=True))\n"
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
