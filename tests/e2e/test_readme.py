"""The README's commands, executed as they stand there, against the running bundle."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.server import PROJECT

if TYPE_CHECKING:
    from tests.e2e.server import Server

MARK = "<!-- run -->"
BLOCKS = re.findall(rf"{MARK}\n```(\w+)\n(.*?)```", (PROJECT / "README.md").read_text(), re.DOTALL)
SAYS = ("setosa", "", "virginica", '"model_name":"iris"', '"ready":true')
"""What each block must print, in order; an empty text where only some answer is asked for."""


def test_every_marked_block_is_executed_here() -> None:
    text = (PROJECT / "README.md").read_text()
    assert text.count(MARK) == len(BLOCKS) == len(SAYS)


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_block_runs_as_it_stands(server: Server, number: int) -> None:
    language, block = BLOCKS[number]
    program = {"bash": ["bash", "-euo", "pipefail", "-c"], "python": [sys.executable, "-c"]}[language]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    answer = subprocess.run(
        [*program, block.replace("http://127.0.0.1:3000", server.url)],
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    assert len(answer.stdout.strip()) > 10
    assert SAYS[number] in answer.stdout.replace(": ", ":")
