"""Resolves requirements/*.in into pinned requirements/*.txt: `make lock` (UPGRADE=1 takes the newest of everything).

One version of every package for all Pythons that Tandem supports, and as far as possible the same in the CPU and
the GPU set, so that what was tested is what runs. A pinned version stays until it has to move or UPGRADE is said.
"""

from __future__ import annotations

import argparse
import os
import shutil
import ssl
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.markers import Marker

from scripts.host import GLIBC, MACHINES, PYTHONS, SetupError
from scripts.pip_settings import read_pip_config, uv_flags, uv_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "requirements"
_MINORS = range(PYTHONS[0][1], PYTHONS[1][1] + 1)


def names(path: Path) -> set[str]:
    """The packages that a pinned file names."""
    return {line.partition("==")[0].strip() for line in path.read_text().splitlines() if "==" in line}


def trimmed(text: str) -> str:
    """The pins of a universal resolution that matter here, sorted, each with a marker only where it decides something.

    A resolution for all platforms names packages for Windows and long conditions that are always true on ours.
    """
    comments = [line for line in text.splitlines() if line.startswith("#")]
    pins = []
    for line in text.splitlines():
        if not line or line.startswith("#"):
            continue
        pin, _, condition = (part.strip() for part in line.partition(";"))
        applies = {Marker(condition).evaluate(place) for place in _places()} if condition else {True}
        if applies == {True, False}:
            pins.append(f"{pin} ; {condition}")
        elif applies == {True}:
            pins.append(pin)
    return "\n".join([*comments, *sorted(pins)]) + "\n"


def _places() -> Iterator[dict[str, str]]:
    fixed = {"sys_platform": "linux", "platform_system": "Linux", "os_name": "posix"}
    cpython = {"implementation_name": "cpython", "platform_python_implementation": "CPython"}
    for minor in _MINORS:
        for machine in MACHINES:
            version = {"python_version": f"3.{minor}", "python_full_version": f"3.{minor}.0"}
            yield fixed | cpython | version | {"platform_machine": machine}


class Locker:
    """uv with the machine's pip settings."""

    def __init__(self, *, upgrade: bool) -> None:
        python = Path(sys.executable)
        pip = read_pip_config(python, os.environ)
        certificates = ssl.get_default_verify_paths().cafile is not None
        self._env = dict(os.environ) | uv_settings(pip, os.environ, system_certificates=certificates)
        self._uv = [str(python.with_name("uv")), "--quiet"]
        self._flags = [*uv_flags(pip), *(["--upgrade"] if upgrade else [])]

    def compile(self, name: str, *options: str, env: dict[str, str] | None = None) -> None:
        """Writes `<name>.txt` from `<name>.in`, with no address in it."""
        oldest = ".".join(map(str, PYTHONS[0]))
        command = ["pip", "compile", f"requirements/{name}.in", "--output-file", f"requirements/{name}.txt"]
        command += ["--universal", "--python-version", oldest, "--fork-strategy", "fewest", "--no-build"]
        command += [
            "--no-annotate",
            "--no-emit-index-url",
            "--no-emit-find-links",
            "--custom-compile-command",
            "make lock",
        ]
        self._run([*command, *self._flags, *options], env)
        pinned = FOLDER / f"{name}.txt"
        pinned.write_text(trimmed(pinned.read_text()))

    def check(self, name: str, device: str, *, without: str = "") -> None:
        """Raises SetupError unless every pin but `without` has a wheel wherever the `device` set is supported."""
        pins = [
            line
            for line in (FOLDER / f"{name}.txt").read_text().splitlines()
            if not line.startswith(("#", without or "#"))
        ]
        with tempfile.TemporaryDirectory() as folder:
            pinned = Path(folder) / "pinned.txt"
            pinned.write_text("\n".join(pins))
            for minor in _MINORS:
                for machine in MACHINES:
                    target = [
                        "--python-version",
                        f"3.{minor}",
                        "--python-platform",
                        f"{machine}-manylinux_{GLIBC[device][0]}_{GLIBC[device][1]}",
                    ]
                    command = ["pip", "install", "--dry-run", "--no-deps", "--no-build", "--target", folder]
                    self._run([*command, *target, "--requirement", str(pinned)])
                    print(f"      {name}.txt has a wheel of everything for Python 3.{minor} on {machine}")

    def _run(self, arguments: list[str], env: dict[str, str] | None = None) -> None:
        code = subprocess.run([*self._uv, *arguments], cwd=ROOT, env=self._env | (env or {}), check=False).returncode
        if code:
            raise SetupError(f"`uv {' '.join(arguments[:3])}` failed (exit {code}); the lines above say why.")


def main(argv: list[str] | None = None) -> int:
    """Locks all three sets; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m scripts.lock", description=__doc__)
    parser.add_argument("--upgrade", action="store_true", help="take the newest version of everything")
    upgrade = parser.parse_args(argv).upgrade
    locker = Locker(upgrade=upgrade)
    try:
        print("[1/3] requirements/cpu.txt")
        locker.compile("cpu", "--excludes", "requirements/excludes.txt")
        # torch's CPU builds stand on an index of torch's own, which not every machine reaches.
        locker.check("cpu", "cpu", without="torch==")
        print("[2/3] requirements/gpu.txt")
        if upgrade or not (FOLDER / "gpu.txt").exists():
            shutil.copy(FOLDER / "cpu.txt", FOLDER / "gpu.txt")  # uv prefers the versions that it finds there
        locker.compile("gpu", env={"UV_FIND_LINKS": ""})
        locker.check("gpu", "gpu")
        print("[3/3] requirements/dev.txt")
        common = names(FOLDER / "cpu.txt") & names(FOLDER / "gpu.txt")
        present = [option for name in sorted(common) for option in ("--no-emit-package", name)]
        locker.compile("dev", "--constraint", "requirements/cpu.txt", *present)
        locker.check("dev", "cpu")
    except SetupError as problem:
        print(problem, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
