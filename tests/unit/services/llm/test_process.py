from __future__ import annotations

import os
import platform
import subprocess
import sys
import threading

import pytest

from services.llm.process import EngineOutput, yield_to_engine

PERMITTED = """
import ctypes, torch
from services.llm.process import allow_tiles
allow_tiles()
mask = ctypes.c_uint64()
ctypes.CDLL(None).syscall(158, 0x1022, ctypes.byref(mask))  # arch_prctl(ARCH_GET_XCOMP_PERM)
print(bool(mask.value >> 18 & 1), torch.cpu._is_amx_tile_supported())
"""


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


@pytest.mark.skipif(platform.machine() != "x86_64", reason="tiles are a matter of x86")
def test_tiles_may_be_used_from_the_first_token_where_the_processor_has_them() -> None:
    """The engine died of a first request of a few tokens, for vLLM uses them without asking."""
    told = subprocess.run([sys.executable, "-c", PERMITTED], check=True, capture_output=True, text=True)
    permitted, has_them = told.stdout.split()
    assert permitted == has_them


def scheduled_after(policy: int) -> int:
    """How a thread that begins with `policy` is scheduled once it yields to the engine."""
    found: list[int] = []

    def run() -> None:
        os.sched_setscheduler(0, policy, os.sched_param(0))
        yield_to_engine()
        found.append(os.sched_getscheduler(0))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return found[0]


@pytest.mark.skipif(sys.platform != "linux", reason="the policies are Linux' own")
def test_who_passes_on_yields_to_the_engine_unless_the_operator_has_chosen() -> None:
    assert scheduled_after(os.SCHED_OTHER) == os.SCHED_BATCH
    assert scheduled_after(os.SCHED_IDLE) == os.SCHED_IDLE


@pytest.mark.skipif(sys.platform != "linux", reason="the policies are Linux' own")
def test_a_system_without_that_policy_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(22, "Invalid argument")  # as gVisor does

    monkeypatch.setattr(os, "sched_setscheduler", refuse)
    yield_to_engine()
    assert os.sched_getscheduler(0) == os.SCHED_OTHER
