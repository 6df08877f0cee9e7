"""The embedded language model does its jobs: a sample of `make eval-llm`, with a floor that leaves room for a small sample."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

from tests.e2e.server import PROJECT

if TYPE_CHECKING:
    from tests.e2e.server import Server

SAMPLE = 24
FLOOR = 0.8


def test_a_sample_of_the_held_out_cases_is_answered_right(server: Server) -> None:
    server.wait_ready()
    command = [sys.executable, "-m", "scripts.eval_llm", "--base-url", server.url]
    done = subprocess.run(
        [*command, "--sample", str(SAMPLE), "--floor", str(FLOOR)],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(re.findall(rf"of {SAMPLE} right", done.stdout)) == 6
    assert f"Valid under the schema, right or not: {SAMPLE} of {SAMPLE}" in done.stdout
    same = re.search(r"at once: (\d+) of (\d+) answers the same", done.stdout)
    assert same
    assert int(same[1]) >= 0.9 * int(same[2])


def test_the_engine_is_not_interrupted_by_who_passes_its_words_on(server: Server) -> None:
    server.wait_ready()
    worker = server.worker("LLM")
    [engine] = [one for one in worker.children(recursive=True) if "EngineCore" in " ".join(one.cmdline())]
    assert os.sched_getscheduler(worker.pid) == os.SCHED_BATCH
    assert {os.sched_getscheduler(thread.id) for thread in engine.threads()} == {os.SCHED_OTHER}
