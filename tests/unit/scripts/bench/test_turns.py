from __future__ import annotations

import shutil
import subprocess
import sys
import textwrap
import time
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING

import psutil
import pytest

from scripts.bench import turns, wrk
from scripts.bench.messages import Body, post
from scripts.bench.samples import Load
from scripts.bench.server import Command, Server, running
from tests.unit.scripts.bench.test_server import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed")

SERVER = """
import http.server, sys, time
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 4096  # one write an answer
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        until = time.thread_time() + float(sys.argv[2])
        while time.thread_time() < until:
            pass
        self.send_response(200)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"ok")
    def log_message(self, *_): pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""
BODY = Body(b"any", {"content-type": "text/plain"})
LOAD = Load(2)
PATIENCE = 20.0


@pytest.fixture
def contestants(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[turns.Contestant]]:
    """One that works a millisecond for an answer, and one that works ten."""
    monkeypatch.setattr("scripts.bench.messages.WORK", tmp_path)
    script = tmp_path / "server.py"
    script.write_text(textwrap.dedent(SERVER))

    def command(port: int, seconds: float) -> Command:
        return Command((sys.executable, str(script), str(port), str(seconds)), tmp_path)

    ports = [free_port(), free_port()]
    with (
        running(command(ports[0], 0.001), ports[0], tmp_path / "quick.log") as quick,
        running(command(ports[1], 0.01), ports[1], tmp_path / "slow.log") as slow,
    ):
        found = []
        for name, port, server in (("quick", ports[0], quick), ("slow", ports[1], slow)):
            url = f"http://127.0.0.1:{port}/"
            server.wait(partial(answers, url), 20)
            found.append(turns.Contestant(name, url, server, BODY))
        yield found


def answers(url: str) -> bool:
    return post(url, BODY)[0] == HTTPStatus.OK


def states(server: Server) -> set[str]:
    return {process.status() for process in server.processes()}


def test_each_is_measured_in_its_own_turns(contestants: list[turns.Contestant]) -> None:
    quick, slow = turns.by_turns(contestants, LOAD, 7, 1.0)
    assert (quick.peer, slow.peer) == ("quick", "slow")
    assert (quick.round, slow.round) == (7, 7)
    assert quick.load == LOAD
    assert 20 < slow.per_second < 1 / 0.01  # one at a time
    assert quick.per_second > 2 * slow.per_second
    assert slow.p50 > 10
    assert (quick.errors, quick.socket_errors, slow.errors, slow.socket_errors) == (0, 0, 0, 0)
    assert quick.rss_mib > 1
    assert 0.2 < slow.server_cores < 1.2
    assert all(psutil.STATUS_STOPPED not in states(one.server) for one in contestants)


def test_nothing_stays_stopped_when_a_measurement_fails(
    contestants: list[turns.Contestant], monkeypatch: pytest.MonkeyPatch
) -> None:
    sleep = time.sleep

    def fails(seconds: float) -> None:
        if seconds != turns.TURN_SECONDS:
            sleep(seconds)
            return
        until = time.monotonic() + PATIENCE  # a process that runs stops a moment later than it is told to
        while sorted(psutil.STATUS_STOPPED in states(one.server) for one in contestants) != [False, True]:
            assert time.monotonic() < until
            sleep(0.005)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("scripts.bench.turns.time.sleep", fails)
        with pytest.raises(KeyboardInterrupt):
            turns.by_turns(contestants, LOAD, 0, 1.0)
    assert all(psutil.STATUS_STOPPED not in states(one.server) for one in contestants)
    assert not [one for one in psutil.Process().children() if one.name() == "wrk"]


def test_a_client_that_ends_in_its_turns_is_no_measurement(
    contestants: list[turns.Contestant], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wrk, "start", lambda *_: subprocess.Popen(["true"], stdout=subprocess.PIPE, text=True))
    with pytest.raises(RuntimeError, match="in the midst of its turns"):
        turns.by_turns(contestants, LOAD, 0, 0.1)
    assert all(psutil.STATUS_STOPPED not in states(one.server) for one in contestants)
