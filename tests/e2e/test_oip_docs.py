"""The examples of docs/protocols.md, as a reader would paste them."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.e2e.server import PROJECT

if TYPE_CHECKING:
    from tests.e2e.server import Server

PAGE = (PROJECT / "docs" / "protocols.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(python|sh)\n(.*?)```", PAGE, re.DOTALL)
EXAMPLES = [(language, code) for language, code in BLOCKS if "grpcurl" not in code]


@pytest.mark.parametrize(("language", "code"), EXAMPLES, ids=range(len(EXAMPLES)))
def test_example(server: Server, language: str, code: str) -> None:
    for port, actual in ((":3000", server.port), (":3001", server.grpc_port)):
        code = code.replace(port, f":{actual}")
    command = [sys.executable, "-c", code] if language == "python" else ["sh", "-ec", code]
    ended = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0, ended.stderr
    assert "setosa" in ended.stdout or "Tandem" in ended.stdout
