"""Builds the OCI image: `python -m scripts.image [--device cpu|gpu] [--builder NAME] [--name NAME]`.

The bento first, then its image, with whichever of docker, podman and buildah is there, then the image's bill of materials.
`bentoml containerize` makes the same image from the same Dockerfile, without this machine's pip settings and labels.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import chdir, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from models import store
from models.errors import ModelError
from scripts.image import install_settings
from scripts.image.bill import bill_of_materials
from scripts.image.builders import NAMES, Builder, ImageError, Order, find_builder
from scripts.image.labels import labels
from scripts.pip_settings import read_pip_config
from scripts.venv import Venv

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / ".tandem" / "image"
_GIGABYTE = 10**9


def build_bento(device: str) -> str:
    """Builds the bento for `device` and returns its tag. Raises ImageError."""
    bentofile = "bentofile-gpu.yaml" if device == "gpu" else "bentofile.yaml"
    command = [sys.executable, "-m", "bentoml", "build", "-f", bentofile, "--output", "tag"]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    found = re.search(r"__tag__:(\S+)", done.stdout)
    if done.returncode or found is None:
        raise ImageError(f"The bento could not be built (exit {done.returncode}); the lines above say why.")
    return found[1]


@contextmanager
def order_of(
    tag: str, builder: Builder, tags: list[str], said: Mapping[str, str], base: str, models: Sequence[str]
) -> Iterator[Order]:
    """What to tell `builder` for an image of the bento `tag` with `models` of yours, while its files are there."""
    import bentoml
    from bentoml._internal.container import construct_containerfile

    venv = Venv(ROOT)
    pip, env = read_pip_config(venv.python, os.environ), os.environ
    secrets = install_settings.secret_files(pip, env, Path.home())
    settings = install_settings.variables(pip, env, secrets, torch_is_found=not venv.needs_torch_index("cpu"))
    cache = _uv_cache(venv) if builder.shows_folders else None
    folders = install_settings.folders(settings, cache)
    if cache is not None:
        settings |= {"UV_CACHE_DIR": folders[cache]}
    if folders and not builder.shows_folders:
        print(
            f"      {builder.name} cannot see these folders with packages: {', '.join(map(str, folders))}", flush=True
        )
    with (
        chdir(tempfile.gettempdir()),  # BentoML refuses its own copy of the template elsewhere: BentoML's issue 5566
        construct_containerfile(bentoml.get(tag)) as (context, dockerfile),
        tempfile.TemporaryDirectory() as private,
    ):
        add_models(Path(context, "models"), models)
        written = Path(private, "install-settings")
        written.touch(mode=0o600)
        written.write_text(install_settings.script(settings))
        arguments = {"BASE_IMAGE": base} if base else {}
        arguments |= {name: env[name] for name in _PROXIES if name in env}
        yield Order(
            Path(context), Path(dockerfile), tags, said, arguments, {"install-settings": written, **secrets}, folders
        )


def add_models(folder: Path, names: Sequence[str]) -> None:
    """Copies the newest versions of `names` from the model store to `folder`, a store as well. Raises ImageError."""
    for name in names:
        try:
            spec, found = store.find(name)
        except ModelError as problem:
            raise ImageError(str(problem)) from None
        shutil.copytree(found, folder / name / spec.version, dirs_exist_ok=True)
        (folder / name / "latest").write_text(spec.version)


_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")
"""Build arguments that every builder knows, and keeps out of the image."""


def _uv_cache(venv: Venv) -> Path | None:
    uv = venv.folder / "bin" / "uv"
    if not uv.exists():
        return None
    answer = subprocess.run([uv, "cache", "dir"], capture_output=True, text=True, check=True).stdout.strip()
    Path(answer).mkdir(parents=True, exist_ok=True)
    return Path(answer)


def write_bill(builder: Builder, image: str, said: Mapping[str, str], folder: Path) -> Path:
    """Writes the bill of materials of `image` into `folder`, and returns its path. Raises ImageError."""
    program = (Path(__file__).parent / "inventory.py").read_text()
    bill = bill_of_materials(image, said, json.loads(builder.run_python(image, program)))
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{image.rpartition('/')[2].replace(':', '-')}.cdx.json"
    path.write_text(json.dumps(bill, indent=2) + "\n")
    return path


def main(argv: list[str] | None = None) -> int:
    """Builds; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m scripts.image", description=__doc__)
    parser.add_argument("--device", choices=["cpu", "gpu", ""], default="", help="default: cpu")
    parser.add_argument("--builder", choices=[*NAMES, ""], default="", help="default: the first that works here")
    parser.add_argument("--name", default="tandem", help="the image's name, with a registry before it to push it there")
    parser.add_argument("--base", default="", help="a base image instead of the public Python one")
    parser.add_argument("--model", action="append", default=[], help="a stored model to put in, may be repeated")
    parser.add_argument("--source", default="", help="address of the code, for a label; default: git's remote")
    wanted = parser.parse_args(argv)
    os.environ.setdefault("BENTOML_HOME", str(ROOT / ".tandem" / "bentoml"))
    try:
        _build(wanted.device or "cpu", find_builder(wanted.builder), wanted)
    except ImageError as problem:
        print(problem, file=sys.stderr)
        return 1
    return 0


def _build(device: str, builder: Builder, wanted: argparse.Namespace) -> None:
    said = labels(ROOT, wanted.base or "docker.io/library/python:3.11-slim", wanted.source)
    suffix = "-gpu" if device == "gpu" else ""
    version = said["org.opencontainers.image.version"]
    tags = [f"{wanted.name}:latest{suffix}", f"{wanted.name}:{version}{suffix}"]
    with _step("[1/3] The bento"):
        bento = build_bento(device)
    with (
        _step(f"[2/3] The image, with {builder.name}: mostly installing packages, some minutes"),
        order_of(bento, builder, tags, said, wanted.base, wanted.model) as order,
    ):
        builder.build(order)
    with _step("[3/3] Its software bill of materials"):
        bill = write_bill(builder, tags[1], said, FOLDER)
    print(f"{tags[0]} and {tags[1]}: {builder.size(tags[0]) / _GIGABYTE:.2f} GB. Bill of materials: {bill}")


@contextmanager
def _step(title: str) -> Iterator[None]:
    print(title, flush=True)
    begun = time.monotonic()
    yield
    print(f"      {time.monotonic() - begun:.1f} s", flush=True)


if __name__ == "__main__":
    sys.exit(main())
