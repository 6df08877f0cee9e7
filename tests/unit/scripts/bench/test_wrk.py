from __future__ import annotations

import http.server
import shutil
import threading
from typing import TYPE_CHECKING

import pytest

from scripts.bench import wrk
from scripts.bench.messages import Body

if TYPE_CHECKING:
    from pathlib import Path

OUTPUT = (
    "Running 2s test\n  Requests/sec: 12\n"
    'bench-result {"duration_us":2000000,"requests":500,"status":3,"connect":1,"read":2,"write":0,"timeout":4,'
    '"p50_us":1500,"p90_us":2500,"p99_us":9000,"max_us":12000}\n'
)


def test_the_scripts_line_becomes_figures() -> None:
    outcome = wrk.parse(OUTPUT, 0.25)
    assert outcome.per_second == 250
    assert (outcome.p50, outcome.p99, outcome.longest) == (1.5, 9.0, 12.0)
    assert (outcome.errors, outcome.socket_errors) == (3, 7)
    assert outcome.client_cpu_seconds == 0.25


def test_a_missing_wrk_is_said_plainly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(wrk.MissingWrkError, match="apt-get install wrk"):
        wrk.require()


class _Handler(http.server.BaseHTTPRequestHandler):
    """Answers 400 to anything but the one right request."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        right = body == b"\x00binary" and self.headers["content-type"] == "application/x-test"
        self.send_response(200 if right else 400)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed")
def test_it_posts_the_body_and_headers_and_counts_failures(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("scripts.bench.messages.WORK", tmp_path)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/"
    try:
        right = wrk.measure(url, Body(b"\x00binary", {"content-type": "application/x-test"}), "right", 1, 1)
        wrong = wrk.measure(url, Body(b"other", {"content-type": "application/x-test"}), "wrong", 1, 1)
        header = {"content-type": "application/x-test"}
        turns = wrk.measure(url, Body(b"\x00binary", header), "turns", 1, 1, [Body(b"other")])
    finally:
        server.shutdown()
        server.server_close()
    assert right.requests > 0
    assert right.errors == 0
    assert wrong.errors == wrong.requests > 0
    assert abs(turns.errors - turns.requests / 2) <= 1
