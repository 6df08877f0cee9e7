"""The BentoML model store, seen as a shelf of `ModelSpec`s with weights beside them.

A model is a folder ``<BENTOML_HOME>/models/<name>/<version>/`` with BentoML's ``model.yaml``, the weights in their
native formats and ``modelspec.json``. Reading needs none of BentoML and no framework. Folders without that JSON
belong to somebody else and are left alone.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, cast

from pydantic import ValidationError

from models.errors import ModelBroken, ModelMissing
from models.spec import ModelSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from models.spec import AnyEngine, Engine

SPEC_FILE = "modelspec.json"
_TAG = re.compile(r"[a-z0-9]([-._a-z0-9]{0,61}[a-z0-9])?")
"""What BentoML accepts as a name or version; nothing else is ever turned into a path."""
_DIGEST_LENGTH = 8

_log = logging.getLogger(__name__)


def store_folder() -> Path:
    """Where BentoML keeps models: under ``BENTOML_HOME``, by default ``~/bentoml``."""
    home = os.environ.get("BENTOML_HOME") or Path("~", "bentoml")
    return Path(os.path.expandvars(home)).expanduser() / "models"


def list_specs(*, all_versions: bool = False, folder: Path | None = None) -> tuple[ModelSpec, ...]:
    """Every model by name, the newest version of each, or all of them with the newest first.

    A spec that cannot be read is logged and left out: one broken model must not hide the others.
    """
    root = folder or store_folder()
    names = sorted(path.name for path in root.iterdir() if path.is_dir()) if root.is_dir() else []
    versions = [_versions(root / name) for name in names]
    return tuple(spec for specs in versions for spec in (specs if all_versions else specs[:1]))


def is_name(text: str) -> bool:
    """Whether BentoML takes `text` for a model's name or version."""
    return bool(_TAG.fullmatch(text))


def remove(name: str, version: str | None = None, *, folder: Path | None = None) -> tuple[ModelSpec, ...]:
    """Delete one version of a model, or all of them, and return what was deleted. Raises ModelMissing.

    A server that has it loaded goes on serving it until it is told to unload it.
    """
    from bentoml._internal.models import ModelStore

    root = folder or store_folder()
    newest, _ = find(name, version, folder=folder)
    going = (newest,) if version is not None else tuple(_versions(root / name))
    for spec in going:
        ModelStore(root).delete(f"{name}:{spec.version}")
    return going


def list_pinned(pinned: Mapping[str, str], *, folder: Path | None = None) -> tuple[ModelSpec, ...]:
    """What a server serves when it starts: of each model the version that `pinned` names for it, or else the newest.

    A pinned version that is not there is logged and left out: to serve another in its place would be a surprise.
    """
    specs = {spec.name: spec for spec in list_specs(folder=folder)}
    for name, version in pinned.items():
        specs.pop(name, None)
        try:
            specs[name] = find(name, version, folder=folder)[0]
        except (ModelMissing, ModelBroken) as error:
            _log.warning("%s is pinned to version %s. %s", name, version, error)
    return tuple(specs[name] for name in sorted(specs))


def find(name: str, version: str | None = None, *, folder: Path | None = None) -> tuple[ModelSpec, Path]:
    """The spec of a model (the newest version unless one is given) and its folder.

    Raises:
        ModelMissing: there is no such model or version.
        ModelBroken: the version that was asked for has a spec that cannot be read.

    """
    root = folder or store_folder()
    if _TAG.fullmatch(name) and version is None:
        for spec in _versions(root / name):
            return spec, root / name / spec.version
    elif _TAG.fullmatch(name) and version is not None and _TAG.fullmatch(version):
        path = root / name / version
        if (path / SPEC_FILE).is_file():
            return _read(path), path
    tag = name if version is None else f"{name}:{version}"
    raise ModelMissing(
        f"Model {tag!r} is not in the model store; `make train` makes those that ship with Tandem, `make model-add` adds yours."
    )


def load(name: str, version: str | None = None, *, threads: int = 1, folder: Path | None = None) -> AnyEngine:
    """A model (the newest version unless one is given) ready to predict with up to `threads` threads.

    Raises:
        ModelMissing: there is no such model or version.
        ModelBroken: its spec or weights cannot be read, or it fails on a first call.

    """
    from models.engines.loader import load_engine

    spec, path = find(name, version, folder=folder)
    return load_engine(spec, path, threads=threads)


def load_classifier(name: str, version: str | None = None, *, threads: int = 1, folder: Path | None = None) -> Engine:
    """A classifier, as `load` does it. Raises ModelBroken as well when the model is none."""
    engine = load(name, version, threads=threads, folder=folder)
    if not engine.spec.is_classifier:
        raise ModelBroken(f"Model {name!r} is no classifier.")
    return cast("Engine", engine)


def save(spec: ModelSpec, write: Callable[[Path], None], *, folder: Path | None = None) -> ModelSpec:
    """Store what `write` writes into the folder it is given, as a new version, and return the spec with that version.

    The version is the training time and a digest of the content, so versions sort by age, and saving what the newest
    version already holds changes nothing: that version's spec is returned.
    """
    root = folder or store_folder()
    with tempfile.TemporaryDirectory() as scratch:
        weights = Path(scratch)
        write(weights)
        digest = _digest(spec, weights)
        for newest in _versions(root / spec.name)[:1]:
            if newest.version.endswith(f"-{digest}"):
                return newest
        stored = spec.model_copy(update={"version": f"{spec.trained_at:%Y%m%dt%H%M%S}-{digest}"})
        _put(stored, weights, root)
    return stored


def _put(spec: ModelSpec, weights: Path, root: Path) -> None:
    # `bentoml.models.create` would fix its store at the first use in a process and report each save over the network.
    import shutil

    from bentoml._internal.models import Model, ModelContext, ModelStore

    root.mkdir(parents=True, exist_ok=True)
    facts = spec.model_dump(mode="json", exclude={"features"})
    model = Model.create(
        f"{spec.name}:{spec.version}",
        module="models.store",
        api_version="v1",
        signatures={},
        labels={"framework": spec.framework},
        metadata=facts,
        context=ModelContext(framework_name=spec.framework, framework_versions={}),
    )
    shutil.copytree(weights, model.path, dirs_exist_ok=True)
    model.flush()  # type: ignore[no-untyped-call]
    path = Path(model.save(ModelStore(root)).path)
    # BentoML hands on the mode of its scratch folder, which would lock out whoever serves under another user.
    path.chmod(path.parent.stat().st_mode)
    # Last and in one step: readers take a folder with a spec for a whole model.
    unfinished = path / f".{SPEC_FILE}"
    unfinished.write_text(spec.model_dump_json(indent=2) + "\n", encoding="utf-8")
    unfinished.replace(path / SPEC_FILE)


def _versions(path: Path) -> list[ModelSpec]:
    """Readable specs of one model, the newest first."""
    specs = []
    for file in path.glob(f"*/{SPEC_FILE}"):
        try:
            specs.append(_read(file.parent))
        except ModelBroken as error:
            _log.warning("%s", error)
    return sorted(specs, key=lambda spec: (spec.trained_at, spec.version), reverse=True)


def _read(path: Path) -> ModelSpec:
    try:
        spec = ModelSpec.model_validate_json((path / SPEC_FILE).read_bytes())
    except (OSError, ValidationError) as error:
        raise ModelBroken(f"The spec of model {path.parent.name}:{path.name} cannot be read: {error}") from error
    if (spec.name, spec.version) != (path.parent.name, path.name):
        raise ModelBroken(f"The spec in {path.parent.name}/{path.name} is that of {spec.name}:{spec.version}.")
    return spec


def _digest(spec: ModelSpec, weights: Path) -> str:
    """Short digest of everything that makes a model what it is, save when it was trained."""
    digest = hashlib.sha256(spec.model_dump_json(exclude={"version", "trained_at"}).encode())
    for file in sorted(path for path in weights.rglob("*") if path.is_file()):
        digest.update(file.relative_to(weights).as_posix().encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:_DIGEST_LENGTH]
