from __future__ import annotations

from pathlib import Path

import pytest

from scripts.bench import stages

ROOT = Path(__file__).parent.parent.parent.parent.parent
RUNNER = "_run_module_as_main (<frozen runpy>:198);Runner.run (asyncio/runners.py:118)"


@pytest.mark.parametrize(
    ("frames", "stage"),
    [
        ((), stages.LOOP),
        (("GatewayApp.__call__ (services/gateway/app.py:1)",), "routing, request id, control"),
        (
            ("Exchange.json (services/gateway/exchange.py:1)", "Cycle.answer (services/http_answer.py:1)"),
            "the answer: its head, and writing it",
        ),
        (
            ("HttpProtocol.on_body (services/http_protocol.py:1)", "Event.set (asyncio/locks.py:1)"),
            "HTTP on the way in, and a task for it",
        ),
        (
            ("Batcher._run (services/gateway/batching.py:1)", "encode_frame (services/frames.py:1)"),
            "the hop and its frames, shared by a batch",
        ),
        (
            ("GatewayApp.__call__ (services/gateway/app.py:1)", "Telemetry.end (services/telemetry/recorder.py:1)"),
            "metrics and log line",
        ),
    ],
)
def test_sample_counts_for_the_innermost_stage(frames: tuple[str, ...], stage: str) -> None:
    assert stages.stage(";".join((RUNNER, *frames))) == stage


def test_threads_but_the_event_loops_do_not_count() -> None:
    raw = f"{RUNNER} 3\nThread._bootstrap (threading.py:1002);LineWriter._run (services/telemetry/line_writer.py:1) 9\n"
    assert stages.count(raw) == {stages.LOOP: 3}


def test_table_divides_the_cpu_time() -> None:
    lines = stages.table({"one": 1, "other": 3}, 40.0).splitlines()
    assert [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]] == [
        ["other", "75%", "30.0"],
        ["one", "25%", "10.0"],
    ]


def test_stages_name_files_that_exist() -> None:
    for mark in (mark for marks in stages.STAGES.values() for mark in marks if mark.startswith("services/")):
        assert (ROOT / mark).exists(), mark
