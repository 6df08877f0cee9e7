from __future__ import annotations

import socket
import sys
from typing import TYPE_CHECKING

import psutil
import pytest

from scripts.bench.server import Command, StartError, port_is_free, running

if TYPE_CHECKING:
    from pathlib import Path

LISTENS = """
import socket, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
with socket.create_server(("127.0.0.1", int(sys.argv[1]))):
    time.sleep(60)
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def python(code: str, *arguments: str, cwd: Path) -> Command:
    return Command((sys.executable, "-c", code, *arguments), cwd)


def test_a_taken_port_is_refused_before_anything_starts(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        command = python("raise SystemExit", cwd=tmp_path)
        with pytest.raises(StartError, match="is taken"), running(command, port, tmp_path / "log"):
            pytest.fail("it started")


def test_a_server_is_awaited_watched_and_stopped_with_its_children(tmp_path: Path) -> None:
    port = free_port()
    with running(python(LISTENS, str(port), cwd=tmp_path), port, tmp_path / "log") as server:
        assert server.wait(lambda: not port_is_free(port), timeout=20) > 0
        processes = server.processes()
        assert len(processes) == 2
        assert server.usage().rss_bytes > 0
    assert port_is_free(port)
    assert not any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in processes)


def test_another_ones_answer_is_noticed(tmp_path: Path) -> None:
    port = free_port()
    sleeps = python("import time; time.sleep(60)", cwd=tmp_path)
    with (
        running(sleeps, port, tmp_path / "log") as server,
        socket.create_server(("127.0.0.1", port)),
        pytest.raises(StartError, match="did not start"),
    ):
        server.wait(lambda: True, timeout=10)


def test_one_that_ends_says_why(tmp_path: Path) -> None:
    code = "print('no such model'); raise SystemExit(3)"
    with (
        running(python(code, cwd=tmp_path), free_port(), tmp_path / "log") as server,
        pytest.raises(StartError, match=r"(?s)status 3.*no such model"),
    ):
        server.wait(lambda: False, timeout=20)
