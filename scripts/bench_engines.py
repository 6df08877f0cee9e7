"""Time each engine beside its training library: ``python -m scripts.bench_engines``, on the stored models.

One thread. Each call gets other rows than the call before, for a branch predictor learns a repeated batch by heart.
Figures are microseconds a call, the best of several rounds.
"""

from __future__ import annotations

import timeit
from typing import TYPE_CHECKING

import numpy as np

from models import store
from models.engines.loader import warm_up_attributions
from scripts.bench.libraries import contenders

if TYPE_CHECKING:
    from collections.abc import Callable

    from models.spec import Rows

SIZES = (1, 32, 1000)
_POOL = 20_000
_ROUNDS = 7


def main() -> None:
    """Print one table a model."""
    for name in ("iris", "fraud", "digits"):
        spec, folder = store.find(name)
        engine = store.load_classifier(name)
        warm_up_attributions(engine)
        rows = _rows(name)
        print(f"\n{spec.name}:{spec.version}, microseconds a call")
        print(f"  {'rows a call':<28}" + "".join(f"{size:>10}" for size in SIZES))
        for label, call in {"engine": engine.predict, **contenders(name, engine, folder)}.items():
            print(f"  {label:<28}" + "".join(f"{_time(call, rows, size):>10.1f}" for size in SIZES))
        print(f"  {'attributions of one row':<28}{_time(engine.attribute, rows[:200], 1):>10.1f}")


def _time(call: Callable[[Rows], object], rows: Rows, size: int) -> float:
    """Microseconds a call, for batches of `size` out of `rows`."""
    batches = [rows[start : start + size].copy() for start in range(0, min(len(rows), 400 * size), size)]

    def once() -> None:
        for batch in batches:
            call(batch)

    return min(timeit.repeat(once, number=1, repeat=_ROUNDS)) / len(batches) * 1e6


def _rows(name: str) -> Rows:
    from sklearn.datasets import load_digits, load_iris

    from models.classifiers.fraud_data import draw

    if name == "fraud":
        return draw(_POOL, seed=99)[0]
    data = (load_iris if name == "iris" else load_digits)(return_X_y=True)[0].astype(np.float32)
    order = np.random.default_rng(99).integers(0, len(data), _POOL)
    return np.ascontiguousarray(data[order])


if __name__ == "__main__":
    main()
