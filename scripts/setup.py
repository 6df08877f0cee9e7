"""Sets the project up: `python -m scripts.setup [--device cpu|gpu] [--dev] [--models]`.

Does what is missing, in order, and says each step; with nothing missing it takes a fraction of a second. Runs on
any Python from 3.11 to 3.13 with its standard library alone, which is why it imports nothing else.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import json
import os
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from scripts.host import Host, SetupError
from scripts.venv import Venv

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Step:
    """One thing to do: what it says before, and the work, which may return what to say after."""

    title: str
    work: Callable[[], str | None]


class Trained:
    """Whether the classical models are in the model store, known without importing BentoML."""

    def __init__(self, root: Path, home: Path) -> None:
        self._sources = sorted([root / "scripts" / "train.py", *(root / "models" / "classifiers").rglob("*.py")])
        self._store = home / "models"
        self._stamp = home / "tandem-models.json"

    def complete(self) -> bool:
        """Whether training was finished with today's sources and everything it stored is still there."""
        try:
            stamp = json.loads(self._stamp.read_text())
            return stamp["sources"] == self._digest() and set(stamp["stored"]) <= set(self._stored())
        except (OSError, ValueError, KeyError):
            return False

    def note(self) -> None:
        """Remembers that training has just been finished."""
        self._stamp.write_text(json.dumps({"sources": self._digest(), "stored": self._stored()}))

    def _stored(self) -> list[str]:
        return sorted(path.parent.name for path in self._store.glob("*/latest"))

    def _digest(self) -> str:
        digest = hashlib.sha256()
        for source in self._sources:
            digest.update(source.read_bytes())
        return digest.hexdigest()


def steps(venv: Venv, trained: Trained, device: str, *, dev: bool, models: bool) -> Iterator[Step]:
    """What is missing, in the order in which it has to be done."""
    fresh = not venv.usable() or venv.state.get("device", device) != device
    missing = [name for name in (device, *(["dev"] if dev else [])) if fresh or not venv.holds(name)]
    if fresh:
        yield Step(f"Making .venv with Python {sys.version.split()[0]}", venv.create)
    if missing and (fresh or not venv.holds("uv")):
        yield Step(f"Installing {venv.pins('uv')[0]}, which installs the rest", partial(_install_uv, venv))
    for name in missing:
        what = f"{len(venv.pins(name))} pinned packages of requirements/{name}.txt"
        yield Step(f"Installing the {what}{_SIZES.get(name, '')}", partial(_install, venv, name, device))
    if models and not trained.complete():
        yield Step("Training the classical models that are missing", partial(_train, venv, trained))


_SIZES = {"cpu": " (2.6 GB, most of it torch and vLLM)", "gpu": " (about 10 GB, most of it CUDA)"}


def _install_uv(venv: Venv) -> str | None:
    try:
        venv.install_uv()
    except SetupError as reason:
        return f"{reason} Going on with pip, which takes longer."
    return None


def _install(venv: Venv, name: str, device: str) -> None:
    try:
        venv.install(name)
    except SetupError as reason:
        raise SetupError(
            f"{reason}\nThe next run goes on from here. Packages come from where pip is told to look "
            "(PIP_INDEX_URL, PIP_EXTRA_INDEX_URL, PIP_FIND_LINKS or pip's configuration file); "
            "torch's CPU build, when none of those has it for this Python, from PyTorch's own index."
        ) from reason
    venv.note_device(device)


def _train(venv: Venv, trained: Trained) -> None:
    venv.run("-m", "scripts.train", "--if-missing")
    trained.note()


def perform(todo: list[Step]) -> None:
    """Does the steps, saying for each what it is, how long it took and what came of it."""
    for number, step in enumerate(todo, start=1):
        print(f"[{number}/{len(todo)}] {step.title}", flush=True)
        begun = time.monotonic()
        outcome = step.work()
        took = f"{time.monotonic() - begun:.1f} s"
        print(f"      {took}{f': {outcome}' if outcome else ''}", flush=True)


def main(argv: list[str] | None = None) -> int:
    """Sets up; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m scripts.setup", description=__doc__)
    parser.add_argument("--device", choices=["cpu", "gpu", ""], default="", help="default: what .venv holds, else cpu")
    parser.add_argument("--dev", action="store_true", help="also what tests and checks need")
    parser.add_argument("--models", action="store_true", help="also train the classical models that are missing")
    wanted = parser.parse_args(argv)

    venv = Venv(ROOT)
    home = Path(os.environ.setdefault("BENTOML_HOME", str(ROOT / ".tandem" / "bentoml")))
    home.mkdir(parents=True, exist_ok=True)
    device = wanted.device or venv.state.get("device", "cpu")
    try:
        with _alone(ROOT / ".tandem"):
            todo = list(steps(venv, Trained(ROOT, home), device, dev=wanted.dev, models=wanted.models))
            if any(step.title.startswith("Installing") for step in todo):
                Host.here(ROOT).require(device)
            perform(todo)
    except SetupError as problem:
        print(f"Set-up stopped. {problem}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nSet-up interrupted; the next run goes on from here.", file=sys.stderr)
        return 130
    return 0


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Waits until no other set-up of this project runs, and keeps others out."""
    folder.mkdir(exist_ok=True)
    with (folder / "setup.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("Waiting for another set-up of this project to finish", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


if __name__ == "__main__":
    sys.exit(main())
