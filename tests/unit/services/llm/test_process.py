from __future__ import annotations

import os
import threading

from services.llm.process import EngineOutput


def test_output_of_the_engine_is_kept_and_passed_on_when_asked_to() -> None:
    passed_on: list[str] = []
    first = threading.Event()

    def forward(line: str) -> None:
        passed_on.append(line)
        first.set()

    output = EngineOutput(forward)
    os.write(output.writer.fileno(), b"ValueError: while loading \xff\n")
    while not output._lines:
        first.wait(0.01)
    output.forwarding = True
    os.write(output.writer.fileno(), b"a warning\n")
    assert first.wait(5)
    output.writer.close()
    assert output.root_cause() == "ValueError: while loading \N{REPLACEMENT CHARACTER}"
    assert output.root_cause(within=0) is None
    assert passed_on == ["a warning"]
