"""A handwritten digit from an 8x8 image: a small convolutional network on scikit-learn's digits, by torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.classifiers.recipe import Recipe, Trained, calibration_error, classifier_spec
from models.engines import convnet
from models.spec import Feature

if TYPE_CHECKING:
    import torch

SIDE = 8
"""Pixels a side."""

LABELS = tuple("0123456789")


_THIRD = (0, 0, 0, 1, 1, 2, 2, 2)
"""Third of the image in which a row or column lies."""


def _region(row: int, column: int) -> str:
    """Name of the cell of a 3x3 grid in which a pixel lies."""
    vertical = ("top", "middle", "bottom")[_THIRD[row]]
    horizontal = ("left", "centre", "right")[_THIRD[column]]
    return "centre" if (vertical, horizontal) == ("middle", "centre") else f"{vertical} {horizontal}"


FEATURES = tuple(
    Feature(
        name=f"pixel_{row}_{column}",
        description=f"Ink in row {row}, column {column}, from 0 (none) to 16",
        low=0.0,
        high=16.0,
        region=_region(row, column),
    )
    for row in range(SIDE)
    for column in range(SIDE)
)

_SEED = 7
_HELD_OUT = 0.25
_EPOCHS = 40
_BATCH = 64
_LEARNING_RATE = 5e-3
_DROPOUT = 0.3
_HIGH = FEATURES[0].high


def train() -> Trained:
    """Fit on three quarters of the 1,797 images; the metrics are those on the last quarter."""
    import torch
    from sklearn.datasets import load_digits
    from sklearn.metrics import log_loss
    from sklearn.model_selection import train_test_split

    rows, truth = load_digits(return_X_y=True)
    seen, unseen, seen_truth, unseen_truth = train_test_split(
        rows.astype("float32"), truth, test_size=_HELD_OUT, stratify=truth, random_state=_SEED
    )
    network = _fit(torch.from_numpy(seen) / _HIGH, torch.from_numpy(seen_truth))
    with torch.inference_mode():
        probabilities = network(torch.from_numpy(unseen) / _HIGH).softmax(1).numpy()
    spec = classifier_spec(
        name="digits",
        framework="torch",
        engine="convnet",
        description="Reads one handwritten digit from an image of 8 by 8 pixels.",
        features=FEATURES,
        labels=LABELS,
        metrics={
            "accuracy": (probabilities.argmax(axis=1) == unseen_truth).mean(),
            "log_loss": log_loss(unseen_truth, probabilities),
            "calibration_error": calibration_error(unseen_truth, probabilities),
        },
        data_source="The UCI handwritten digits (1998), 1,797 images, as scikit-learn ships them. "
        "Metrics on a quarter held out.",
    )
    return Trained(spec, lambda folder: convnet.write(folder, network, side=SIDE, high=_HIGH), unseen, probabilities)


def _fit(ink: torch.Tensor, truth: torch.Tensor) -> torch.nn.Sequential:
    """A trained network, the same at every call."""
    import torch

    # So small a network gains nothing from a second thread, and loses much when the other cores are busy.
    torch.set_num_threads(1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_SEED)
        network = convnet.build(SIDE, len(LABELS), dropout=_DROPOUT)
        optimizer = torch.optim.AdamW(network.parameters(), lr=_LEARNING_RATE, weight_decay=1e-2)
        steps = _EPOCHS * -(-len(ink) // _BATCH)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, _LEARNING_RATE, total_steps=steps)
        for _ in range(_EPOCHS):
            for batch in torch.split(torch.randperm(len(ink)), _BATCH):
                optimizer.zero_grad()
                loss = torch.nn.functional.cross_entropy(network(_shift(ink[batch])), truth[batch])
                torch.autograd.backward(loss)
                optimizer.step()
                schedule.step()
    return network.eval()


def _shift(ink: torch.Tensor) -> torch.Tensor:
    """Half of all batches moved by up to one pixel each way, for people do not write in the middle."""
    import torch

    if torch.rand(()) < 1 / 2:
        return ink
    down, right = torch.randint(0, 3, (2,)).tolist()
    padded = torch.nn.functional.pad(ink.view(-1, SIDE, SIDE), (1, 1, 1, 1))
    return padded[:, down : down + SIDE, right : right + SIDE].reshape(len(ink), -1)


RECIPE = Recipe(train, floors={"accuracy": 0.97})
