"""Train the embedded language model: ``python -m scripts.train_llm``. Stop it at will; the next start goes on.

Writes the model to models/llm/embedded and the loss curve to docs/llm. The process id is in the state's folder as
`pid`: SIGSTOP pauses the training, SIGCONT lets it go on.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from models.llm.training.loop import Progress as StepReport

ROOT = Path(__file__).parent.parent
EMBEDDED = ROOT / "models" / "llm" / "embedded"
_REPORT = 50
"""Steps between two lines where there is no terminal for the bar."""


def main() -> None:
    """Train to the last step of the recipe and write the model."""
    options = _options()
    import torch
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from models.llm.training import chart, network
    from models.llm.training.loop import Recipe, Run

    torch.set_num_threads(options.threads)
    recipe = Recipe(steps=options.steps)
    run = Run(recipe, options.folder, fused=shutil.which("g++") is not None)
    print(f"Training on {run.device} from step {run.step} of {recipe.steps}; state in {options.folder}")
    began, first = time.monotonic(), run.step
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"), TimeRemainingColumn())
    with Progress(*columns) as bar:
        task = bar.add_task("loss -", total=recipe.steps, completed=run.step)

        def report(step: StepReport) -> None:
            bar.update(task, completed=step.step, description=f"loss {step.loss:.4f}")
            if step.step % _REPORT == 0 and not bar.console.is_terminal:
                left = (time.monotonic() - began) / (step.step - first) * (recipe.steps - step.step) / 60
                print(
                    f"step {step.step} of {recipe.steps}: loss {step.loss:.4f}, about {left:.0f} min left", flush=True
                )

        for signal_ in (signal.SIGINT, signal.SIGTERM):
            signal.signal(signal_, lambda *_: setattr(run, "stopping", True))
        run.train(report)
    if run.stopping:
        print(f"Stopped after step {run.step}; the next start goes on from there")
        return
    network.save(run.network, run.tokenizer, options.out)
    steps = chart.history(options.folder)
    chart.draw(steps, options.docs / "loss.png")
    (options.docs / "training.md").write_text(chart.table(steps))
    print(f"Wrote {options.out} and the loss curve in {options.docs}")


def _options() -> argparse.Namespace:
    from models.llm.training.loop import Recipe

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=Recipe().steps, help="optimizer steps in all")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads")
    parser.add_argument("--folder", type=Path, default=ROOT / ".tandem" / "llm-train", help="checkpoint and log")
    parser.add_argument("--out", type=Path, default=EMBEDDED, help="where the model goes")
    parser.add_argument("--docs", type=Path, default=ROOT / "docs" / "llm", help="where the loss curve goes")
    return parser.parse_args()


if __name__ == "__main__":
    main()
