"""What the machine must have before anything is downloaded, each with the sentence that helps when it has not.

Standard library only: this runs before anything is installed.
"""

from __future__ import annotations

import ctypes
import platform
import shutil
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PYTHONS = ((3, 11), (3, 13))
"""First and last Python that every pinned wheel exists for."""

MACHINES = ("x86_64", "aarch64")
"""Processors that every pinned wheel exists for."""
GLIBC = {"cpu": (2, 31), "gpu": (2, 34)}
"""Oldest C library that every pinned wheel of a set runs on."""
_DISK_GIB = {"cpu": 4, "gpu": 14}


class SetupError(Exception):
    """Set-up cannot go on; the message says what to do about it."""


@dataclass(frozen=True)
class Host:
    """The facts that the checks look at."""

    system: str
    machine: str
    glibc: tuple[int, ...]
    python: tuple[int, int]
    free_gib: float
    has_numa: bool

    @classmethod
    def here(cls, root: Path) -> Host:
        """What is true of the machine at hand and of the disk that holds `root`."""
        library, version = platform.libc_ver()
        return cls(
            system=platform.system(),
            machine=platform.machine(),
            glibc=tuple(int(part) for part in version.split(".")) if library == "glibc" else (),
            python=sys.version_info[:2],
            free_gib=shutil.disk_usage(root).free / 2**30,
            has_numa=_loads("libnuma.so.1"),
        )

    def require(self, device: str) -> None:
        """Raises SetupError with every reason why the `device` set cannot be installed or would not run here."""
        problems = list(self._problems(device))
        if problems:
            raise SetupError("\n".join(problems))

    def _problems(self, device: str) -> Iterator[str]:
        if not PYTHONS[0] <= self.python <= PYTHONS[1]:
            yield f"Python {_dotted(self.python)} is not supported; {_dotted(PYTHONS[0])} to {_dotted(PYTHONS[1])} are."
        if self.system != "Linux" or self.machine not in MACHINES:
            yield (
                f"vLLM and torch have no builds for {self.system} on {self.machine}: "
                f"Tandem runs on Linux ({' or '.join(MACHINES)}); elsewhere, run it in a Linux container or machine."
            )
            return
        if self.glibc < GLIBC[device]:
            yield (
                f"The {device} set needs glibc {_dotted(GLIBC[device])} or newer (Debian 12, Ubuntu 22.04, RHEL 9 have it); "
                f"this system has {_dotted(self.glibc) or 'another C library'}."
            )
        if self.free_gib < _DISK_GIB[device]:
            yield f"The {device} set needs about {_DISK_GIB[device]} GB of disk; {self.free_gib:.1f} GB are free here."
        if device == "cpu" and not self.has_numa:
            yield (
                "vLLM needs the library libnuma.so.1. Debian and Ubuntu: apt-get install libnuma1; "
                "Fedora and RHEL: dnf install numactl-libs."
            )


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))
