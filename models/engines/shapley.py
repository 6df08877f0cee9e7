"""Attributions for any classifier, from its predictions alone.

Shapley values by permutation sampling (Strumbelj and Kononenko, 2014): starting from a typical row, the features take the
values of the explained row one after the other, in many random orders, each also in reverse; what each step adds to the
probability is averaged. Every order adds up exactly to the difference between the two rows, so the average does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from models.spec import Attributions

if TYPE_CHECKING:
    from collections.abc import Callable

    from models.spec import ModelSpec, Probabilities, Rows

_PREDICTIONS = 4096
"""About how many rows are predicted for one explanation."""
_MOST_ORDERS = 128
_SEED = 20


def sampled_shapley(spec: ModelSpec, predict: Callable[[Rows], Probabilities], row: Rows) -> Attributions:
    """Attributions of the predicted label for one row, shape (1, features), as moves of its probability.

    The same row always gets the same figures. `baseline` is the probability at the model's typical row.
    """
    from models.engines.loader import middle_row

    width = row.shape[1]
    typical = middle_row(spec)
    pairs = max(2, min(_PREDICTIONS // (width + 1), _MOST_ORDERS) // 2)
    generator = np.random.default_rng(_SEED)
    half = np.stack([generator.permutation(width) for _ in range(pairs)])
    orders = np.concatenate([half, half[:, ::-1]])
    # ranks[o, f] is when feature f takes the row's value in order o; step s shows the features with a rank below s.
    ranks = np.argsort(orders, axis=1)
    shown = ranks[:, None, :] < np.arange(width + 1)[None, :, None]
    steps = np.where(shown, row[0], typical[0]).reshape(-1, width).astype(np.float32)
    probabilities = predict(steps).astype(np.float64).reshape(len(orders), width + 1, len(spec.labels))
    baseline, output = probabilities[0, 0], probabilities[0, -1]
    label = int(output.argmax())
    gains = np.diff(probabilities[:, :, label], axis=1)
    contributions = np.zeros(width)
    np.add.at(contributions, orders.ravel(), gains.ravel())
    return Attributions(
        label=spec.labels[label],
        space="probability",
        method="sampled-shapley",
        baseline=float(baseline[label]),
        output=float(output[label]),
        contributions=tuple((contributions / len(orders)).tolist()),
    )
