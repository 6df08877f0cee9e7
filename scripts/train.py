"""Train the classifiers that Tandem ships and store them: ``python -m scripts.train [--if-missing] [names...]``."""

from __future__ import annotations

import argparse
import sys
import time
from functools import partial
from typing import TYPE_CHECKING

from models import store
from models.classifiers.catalogue import RECIPES
from models.classifiers.recipe import Trained, TrainingFailed, check

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


def main(arguments: Sequence[str] | None = None) -> int:
    """Train what is asked for; 1 when a model is not good enough to be stored."""
    parser = argparse.ArgumentParser(prog="python -m scripts.train", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help=f"of {', '.join(RECIPES)}; default: all")
    parser.add_argument("--if-missing", action="store_true", help="leave alone what the model store already has")
    options = parser.parse_args(arguments)
    if unknown := [name for name in options.names if name not in RECIPES]:
        parser.error(f"no such model: {', '.join(unknown)}; there are {', '.join(RECIPES)}")
    names = options.names or list(RECIPES)
    if options.if_missing:
        there = {spec.name for spec in store.list_specs()}
        names = [name for name in names if name not in there]
    try:
        for name in names:
            _train(name)
    except TrainingFailed as failure:
        print(f"Not stored. {failure}", file=sys.stderr)
        return 1
    return 0


def _train(name: str) -> None:
    recipe = RECIPES[name]
    print(f"Training {name} ...", flush=True)
    began = time.perf_counter()
    trained = recipe.train()
    known = {(spec.name, spec.version) for spec in store.list_specs()}
    saved = store.save(trained.spec, partial(_write_checked, trained, recipe.floors))
    kept = ", as it already was" if (saved.name, saved.version) in known else ""
    print(f"  {saved.name}:{saved.version} stored{kept} ({saved.framework}, {time.perf_counter() - began:.1f} s)")
    for metric, value in saved.metrics.items():
        floor = f"   at least {recipe.floors[metric]} asked for" if metric in recipe.floors else ""
        print(f"    {metric:<20}{value:>8.4f}{floor}")


def _write_checked(trained: Trained, floors: Mapping[str, float], folder: Path) -> None:
    trained.write(folder)
    check(trained, folder, floors)


if __name__ == "__main__":
    sys.exit(main())
