"""Serves from this checkout: `python -m scripts.serve [--host H] [--port P] [--device cpu|gpu] [--role ROLE]`.

Stands between the terminal and BentoML's process manager, for two reasons. BentoML starts happily on a port that
somebody else answers on, and meets a wrong setting with a traceback a process, so both are looked at first. And its
workers run in sessions of their own, where a Ctrl-C or a crash can leave them behind, so this process adopts whatever
they leave and ends it.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import math
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from scripts.preflight import port_problems, settings_problems
from services.roles import TARGETS
from services.settings.tree import load_settings

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import FrameType

ROOT = Path(__file__).resolve().parent.parent
_PATIENCE = 30
"""Seconds, after those that requests under way have to finish, until whatever is left is killed."""
_GRPC_PORT = "TANDEM_GATEWAY__GRPC_PORT"
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


def environment(given: Mapping[str, str], device: str, grpc_port: str = "", role: str = "") -> dict[str, str]:
    """What the server's processes see: `given`, completed where it says nothing."""
    defaults = {
        "BENTOML_HOME": str(ROOT / ".tandem" / "bentoml"),
        "BENTOML_DO_NOT_TRACK": "True",
        "DO_NOT_TRACK": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        **({"TANDEM_LLM__DEVICE": device} if device else {}),
        **({_GRPC_PORT: grpc_port} if grpc_port else {}),
        **({"TANDEM_ROLE": role} if role else {}),
    }
    programs = str(Path(sys.executable).parent)
    return {**defaults, **given, "PATH": f"{programs}{os.pathsep}{given.get('PATH', os.defpath)}"}


def home_of_role(home: Path, role: str, port: int) -> Path:
    """A BentoML home for one of several servers on a machine: it has the models of `home` and metrics of its own, which BentoML
    keeps in its home and clears at each start.
    """
    own = home / "roles" / f"{role}-{port}"
    own.mkdir(parents=True, exist_ok=True)
    models = own / "models"
    if not models.is_symlink():
        (home / "models").mkdir(exist_ok=True)
        models.symlink_to(home.absolute() / "models")
    return own


class Server:
    """`bentoml serve` and everything that comes of it."""

    def __init__(self, arguments: list[str], grace: float) -> None:
        """`arguments` are those of `bentoml serve`; `grace` is how long it gives its requests when it stops, in seconds."""
        self._grace = grace
        libc = ctypes.CDLL(None, use_errno=True)
        libc.prctl(_PR_SET_CHILD_SUBREAPER, 1)
        self._stopping = False
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bentoml", "serve", *arguments],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=lambda: libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM),  # noqa: PLW1509 - this has no threads
        )

    def wait(self) -> int:
        """Waits for the end, passes requests to stop on, and leaves no process behind. Returns the exit status."""
        for wish in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(wish, self._on_stop)
        signal.signal(signal.SIGALRM, lambda *_: self._sweep())
        signal.signal(signal.SIGCHLD, lambda *_: self._reap_adopted())
        code = self._process.wait()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        self._sweep()
        if self._stopping:
            _say("Stopped.")
            return 0
        print(f"The server ended by itself ({_manner(code)}); the lines above may say why.", file=sys.stderr)
        return code if code > 0 else 1

    def _on_stop(self, number: int, _frame: FrameType | None) -> None:
        if self._stopping:
            self._sweep()
            return
        self._stopping = True
        _say(f"\nStopping: requests under way have {self._grace:g} s. Ctrl-C again stops at once.")
        # Ctrl-C and a closed terminal are in a hurry; an orchestrator wants load balancers to be told first.
        self._process.send_signal(signal.SIGTERM if number == signal.SIGTERM else signal.SIGINT)
        signal.alarm(math.ceil(self._grace) + _PATIENCE)

    def _sweep(self) -> None:
        """Ends every descendant: those that BentoML left to us, and BentoML itself if it still runs."""
        import psutil

        left = psutil.Process().children(recursive=True)
        for process in left:
            process.kill()
        psutil.wait_procs([process for process in left if process.pid != self._process.pid], timeout=5)

    def _reap_adopted(self) -> None:
        """Clears away adopted processes that have ended; BentoML's own end is left for `wait` to see."""
        while (ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)) is not None:
            if ended.si_pid == self._process.pid:
                return
            os.waitpid(ended.si_pid, 0)


def _say(line: str) -> None:
    """Print a line, where there is room: a full disk must not keep a server from stopping well."""
    with contextlib.suppress(OSError):
        os.write(1, f"{line}\n".encode())


def _manner(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit {code}"


def main(argv: list[str] | None = None) -> int:
    """Serves until stopped; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m scripts.serve", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=3000)
    parser.add_argument("--grpc-port", default="", help="default: the setting, 3001; 0 turns gRPC off")
    parser.add_argument("--device", choices=["cpu", "gpu", ""], default="", help="where the language model runs")
    parser.add_argument("--role", choices=[*TARGETS, ""], default="", help="what of it to serve; default: all of it")
    parser.add_argument("--service", default="", help="what BentoML serves: import path, bento tag or folder")
    wanted = parser.parse_args(argv)

    os.environ.update(environment(os.environ, wanted.device, wanted.grpc_port, wanted.role))
    problems = settings_problems(os.environ)
    if problems:
        problems.append("All settings: docs/configuration.md")
    else:
        problems = port_problems(wanted.host, wanted.port)
    if problems:
        print("\n".join(problems), file=sys.stderr)
        return 1
    home = Path(os.environ["BENTOML_HOME"])
    home.mkdir(parents=True, exist_ok=True)
    role = load_settings().role
    if role != "all":
        os.environ["BENTOML_HOME"] = str(home_of_role(home, role, wanted.port))
    address = ["--host", wanted.host, "--port", str(wanted.port)]
    drain = load_settings().drain
    return Server([wanted.service or TARGETS[role], *address], drain.delay + drain.timeout).wait()


if __name__ == "__main__":
    sys.exit(main())
