"""The loss curve of a run as a picture and a table, for docs/llm/."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from models.llm.training.loop import LOG, Progress

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_WINDOW = 20
"""Steps that a point of the smoothed curve is the mean of."""
_ROWS = 12
"""Rows of the table."""


def history(folder: Path) -> list[Progress]:
    """All steps that the run in `folder` has taken."""
    return [Progress(**json.loads(line)) for line in (folder / LOG).read_text().splitlines()]


def smoothed(steps: Sequence[Progress]) -> list[float]:
    """Mean loss of each step and those just before it."""
    losses = [step.loss for step in steps]
    return [sum(losses[max(0, at - _WINDOW) : at]) / min(at, _WINDOW) for at in range(1, len(losses) + 1)]


def draw(steps: Sequence[Progress], path: Path) -> None:
    """Write the curve of `steps`, loss on a logarithmic axis, as a PNG of about 40 kB."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 3.2), dpi=110, layout="constrained")
    axes = figure.subplots()
    axes.plot(
        [step.step for step in steps], [step.loss for step in steps], color="#b8c4d6", linewidth=0.7, label="a step"
    )
    axes.plot(
        [step.step for step in steps], smoothed(steps), color="#1f4e9e", linewidth=1.6, label=f"mean of {_WINDOW}"
    )
    axes.set_yscale("log")
    axes.set_xlabel("step")
    axes.set_ylabel("loss (nats a token of the answer)")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)


def table(steps: Sequence[Progress]) -> str:
    """The same as a Markdown page."""
    means = smoothed(steps)
    at = sorted({max(0, round(len(steps) * row / _ROWS) - 1) for row in range(1, _ROWS + 1)})
    rows = [f"| {steps[i].step} | {means[i]:.4f} | {steps[i].rate:.2f} |" for i in at]
    head = ["# Training of the embedded model", "", "![Loss by step](loss.png)", ""]
    head += ["| step | mean loss of 20 steps | share of the peak learning rate |", "|---|---|---|"]
    hours = sum(step.seconds for step in steps) / 3600
    tail = ["", f"{len(steps)} steps in {hours:.1f} hours of wall time. Written by `make train-llm`."]
    return "\n".join([*head, *rows, *tail]) + "\n"
