from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from scripts.host import Host, SetupError

if TYPE_CHECKING:
    from pathlib import Path

GOOD = Host(system="Linux", machine="x86_64", glibc=(2, 36), python=(3, 12), free_gib=50, has_numa=True)


def test_a_good_machine_passes() -> None:
    GOOD.require("cpu")
    GOOD.require("gpu")


@pytest.mark.parametrize(
    ("change", "device", "message"),
    [
        ({"system": "Darwin", "machine": "arm64"}, "cpu", "Darwin on arm64"),
        ({"machine": "riscv64"}, "cpu", "Linux on riscv64"),
        ({"python": (3, 14)}, "cpu", "Python 3.14 is not supported; 3.11 to 3.13 are"),
        ({"glibc": (2, 28)}, "cpu", "glibc 2.31 or newer"),
        ({"glibc": ()}, "cpu", "another C library"),
        ({"glibc": (2, 31)}, "gpu", "glibc 2.34 or newer"),
        ({"free_gib": 1.25}, "cpu", "about 4 GB of disk; 1.2 GB are free"),
        ({"free_gib": 8}, "gpu", "about 14 GB of disk"),
        ({"has_numa": False}, "cpu", "apt-get install libnuma1"),
    ],
)
def test_what_is_missing_is_said(change: dict[str, Any], device: str, message: str) -> None:
    with pytest.raises(SetupError, match=message):
        replace(GOOD, **change).require(device)


def test_all_problems_are_said_at_once() -> None:
    with pytest.raises(SetupError) as problem:
        replace(GOOD, free_gib=1, has_numa=False).require("cpu")
    assert len(str(problem.value).splitlines()) == 2


def test_this_machine_is_read(tmp_path: Path) -> None:
    here = Host.here(tmp_path)
    assert here.system == "Linux"
    assert here.glibc >= (2, 31)
    assert here.free_gib > 0
