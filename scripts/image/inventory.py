"""What is installed, as JSON: run by the Python of an image, whose standard library is all that it may use."""

from __future__ import annotations

import json
import platform
import subprocess
from importlib.metadata import Distribution, distributions
from pathlib import Path


def python_packages() -> list[dict[str, str]]:
    """Name, version, licence and summary of each distribution that Python finds."""
    return sorted((_described(found) for found in distributions()), key=lambda package: package["name"].lower())


def system_packages() -> list[dict[str, str]]:
    """The distribution's packages, as dpkg has them; none where there is no dpkg."""
    fields = ["Package", "Version", "Architecture", "Maintainer"]
    form = "\\t".join(f"${{{field}}}" for field in fields) + "\\n"
    try:
        listing = subprocess.run(["dpkg-query", "-W", "-f", form], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return []
    return [dict(zip(map(str.lower, fields), line.split("\t"), strict=True)) for line in listing.splitlines()]


def system() -> dict[str, str]:
    """Which distribution it is: the lines of /etc/os-release."""
    release = Path("/etc/os-release")
    lines = release.read_text(encoding="utf-8").splitlines() if release.exists() else []
    return {key: value.strip('"') for key, _, value in (line.partition("=") for line in lines if "=" in line)}


def _described(found: Distribution) -> dict[str, str]:
    about = found.metadata
    expression = _first(found, "License-Expression")
    return {
        "name": about["Name"],
        "version": found.version,
        "licence": expression or _classified(found) or _first(found, "License").partition("\n")[0],
        "expression": expression,
        "summary": _first(found, "Summary"),
    }


def _first(found: Distribution, field: str) -> str:
    return next(iter(found.metadata.get_all(field) or ()), "").strip()


def _classified(found: Distribution) -> str:
    lines = found.metadata.get_all("Classifier") or ()
    names = [line.rpartition(" :: ")[2] for line in lines if line.startswith("License :: ")]
    return ", ".join(name for name in names if name != "OSI Approved")


if __name__ == "__main__":
    everything = {
        "python": platform.python_version(),
        "system": system(),
        "packages": python_packages(),
        "system_packages": system_packages(),
    }
    print(json.dumps(everything))
