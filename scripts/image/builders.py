"""The programs that build images, and what each is told."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

NAMES = ("docker", "podman", "buildah")
"""In the order in which they are tried."""


class ImageError(Exception):
    """The image cannot be built; the message says what to do about it."""


@dataclass(frozen=True)
class Order:
    """What to build."""

    context: Path
    dockerfile: Path
    tags: Sequence[str]
    labels: Mapping[str, str]
    arguments: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, Path] = field(default_factory=dict)
    folders: Mapping[Path, str] = field(default_factory=dict)
    """Folders of this machine, and where the build sees them; docker's builds can see none."""


@dataclass(frozen=True)
class Builder:
    """One of `NAMES`, known to work here."""

    name: str

    @property
    def shows_folders(self) -> bool:
        """Whether a build can be shown folders of this machine."""
        return self.name != "docker"

    def build(self, order: Order) -> None:
        """Builds `order`, its output on the terminal. Raises ImageError."""
        environment = {**os.environ, "DOCKER_BUILDKIT": "1", "BUILDAH_FORMAT": "oci"}
        code = subprocess.run(self.command(order), env=environment, check=False).returncode
        if code:
            raise ImageError(f"{self.name} failed (exit {code}); the lines above say why.")

    def command(self, order: Order) -> list[str]:
        """The command line for `order`."""
        command = [self.name, "build", "--file", str(order.dockerfile), "--network", "host"]
        for tag in order.tags:
            command += ["--tag", tag]
        for name, value in order.labels.items():
            command += ["--label", f"{name}={value}"]
        for name, value in order.arguments.items():
            command += ["--build-arg", f"{name}={value}"]
        for name, path in order.secrets.items():
            command += ["--secret", f"id={name},src={path}"]
        if self.shows_folders and order.folders:
            command += ["--security-opt", "label=disable"]  # SELinux would hide them
            for folder, seen in order.folders.items():
                command += ["--volume", f"{folder}:{seen}"]
        return [*command, str(order.context)]

    def run_python(self, image: str, program: str) -> str:
        """What `program` prints when the image's Python runs it. Raises ImageError."""
        python = ["python", "-"]
        if self.name != "buildah":
            return self._ask(
                ["run", "--rm", "-i", "--network", "none", "--entrypoint", *python[:1], image, "-"], program
            )
        container = self._ask(["from", image]).strip()
        try:
            return self._ask(["run", container, "--", *python], program)
        finally:
            self._ask(["rm", container])

    def size(self, image: str) -> int:
        """Bytes that it takes on disk. Raises ImageError."""
        command = ["images", "--format", "json", image] if self.name == "buildah" else ["image", "inspect", image]
        import json

        [found, *_] = json.loads(self._ask(command))
        return int(found.get("Size") or found.get("size"))

    def _ask(self, arguments: list[str], given: str = "") -> str:
        done = subprocess.run([self.name, *arguments], input=given, capture_output=True, text=True, check=False)
        if done.returncode:
            raise ImageError(f"`{self.name} {' '.join(arguments[:2])}` failed: {done.stderr.strip()}")
        return done.stdout


def find_builder(wanted: str = "") -> Builder:
    """The first of `NAMES` that works here, or the one that is wanted. Raises ImageError with what is wrong with each."""
    problems = {}
    for name in [wanted] if wanted else NAMES:
        problem = _problem(name)
        if problem is None:
            return Builder(name)
        problems[name] = problem
    said = "; ".join(f"{name} {problem}" for name, problem in problems.items())
    raise ImageError(
        f"Nothing here can build an image: {said}. Debian and Ubuntu: apt-get install podman; "
        "elsewhere: Docker (docs.docker.com) or Podman (podman.io)."
    )


def _problem(name: str) -> str | None:
    if shutil.which(name) is None:
        return "is not installed"
    asked = ["version", "--format", "{{.Server.Version}}"] if name == "docker" else ["--version"]
    done = subprocess.run([name, *asked], capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return None
    return f"does not work ({done.stderr.strip().splitlines()[-1] if done.stderr.strip() else done.returncode})"
