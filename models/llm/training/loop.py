"""The training loop: seeded, resumable at any step, on a GPU where there is one and on CPU cores where not."""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from models.llm.training import batches, network, vocabulary

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import torch
    from tokenizers import Tokenizer
    from transformers import LlamaForCausalLM


LOG = "log.jsonl"
"""Name of the log in a run's folder: a `Progress` a line."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """All that decides the outcome of a run, beside the generators."""

    seed: int = 4
    steps: int = 8400
    """Optimizer steps."""
    size: int = 64
    """Dialogues in a step."""
    parts: int = 8
    """Batches that a step is computed in, each of dialogues of like length."""
    fade: int = 24_000
    """Dialogues after which copy tasks have made way for the real ones."""
    matrix_rate: float = 4e-3
    """Learning rate of the weight matrices, which Muon moves."""
    other_rate: float = 2e-3
    """Learning rate of embeddings and norms, which AdamW moves."""
    warmup: int = 60
    decay: float = 0.65
    """Share of the steps, at the end, over which the rate falls in a line to a hundredth."""


@dataclass(frozen=True, slots=True)
class Progress:
    """What a step reports."""

    step: int
    loss: float
    rate: float
    seconds: float


def rate_factor(recipe: Recipe, step: int) -> float:
    """What the learning rates are multiplied with at `step`: a rise, a level stretch, a fall to 0.01."""
    falling = recipe.steps * recipe.decay
    left = recipe.steps - step
    fall = 1.0 if left >= falling else 0.01 + 0.99 * max(left, 0) / falling
    return min((step + 1) / recipe.warmup, fall)


class Run:
    """A training run whose state lives in a folder, so that the next process goes on where this one stopped."""

    def __init__(self, recipe: Recipe, folder: Path, *, fused: bool = False) -> None:
        """`fused` compiles the layers, for which torch needs a C++ compiler; a step takes a quarter less time then."""
        import torch

        folder.mkdir(parents=True, exist_ok=True)
        self.recipe = recipe
        self.folder = folder
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        torch.manual_seed(recipe.seed)
        self.tokenizer = self._vocabulary()
        self.network: LlamaForCausalLM = network.build(self.tokenizer).to(self.device)
        self._layers = torch.compile(self.network.model, dynamic=True) if fused else self.network.model
        self.optimizers = _optimizers(self.network, recipe)
        self.step = 0
        self.stopping = False
        """Set it, from a signal handler, and the run saves its state after the step under way and ends."""
        self._resume()
        (folder / "pid").write_text(f"{os.getpid()}\n")

    def train(self, report: Callable[[Progress], None], *, save_every: int = 100) -> None:
        """Take the steps that are left; a checkpoint every `save_every` of them and at the end."""
        self._forget_lost_steps()
        with (self.folder / LOG).open("a", buffering=1) as log:
            while self.step < self.recipe.steps and not self.stopping:
                progress = self._step()
                log.write(json.dumps(asdict(progress)) + "\n")
                report(progress)
                if self.stopping or self.step % save_every == 0 or self.step == self.recipe.steps:
                    self.save()

    def _forget_lost_steps(self) -> None:
        """Drop from the log what an earlier process reported after its last checkpoint."""
        path = self.folder / LOG
        kept = (
            [line for line in path.read_text().splitlines() if json.loads(line)["step"] <= self.step]
            if path.exists()
            else []
        )
        path.write_text("".join(f"{line}\n" for line in kept))

    def save(self) -> None:
        """Write the checkpoint, in one move so that a kill leaves the old one or the new one."""
        import torch

        state = {
            "step": self.step,
            "network": self.network.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
        }
        torch.save(state, self.folder / "checkpoint.new")
        (self.folder / "checkpoint.new").replace(self.folder / "checkpoint.pt")

    def _step(self) -> Progress:
        import torch

        began = time.monotonic()
        recipe = self.recipe
        factor = rate_factor(recipe, self.step)
        parts = batches.step_batches(
            self.tokenizer, recipe.seed, self.step, size=recipe.size, parts=recipe.parts, fade=recipe.fade
        )
        answers = sum(len(part.targets) for part in parts)
        loss = 0.0
        for part in parts:
            share = self._loss(part) / answers
            share.backward()  # type: ignore[no-untyped-call]
            loss += share.item()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = group["peak"] * factor
            optimizer.step()
            optimizer.zero_grad()
        self.step += 1
        return Progress(self.step, round(loss, 5), factor, round(time.monotonic() - began, 3))

    def _loss(self, part: batches.Batch) -> torch.Tensor:
        """Summed cross-entropy of the answers in `part`."""
        import torch

        with torch.autocast(self.device, dtype=torch.bfloat16):
            hidden = self._layers(input_ids=part.tokens.to(self.device), use_cache=False).last_hidden_state
            logits = self.network.lm_head(hidden.flatten(0, 1)[part.places.to(self.device)])
        return torch.nn.functional.cross_entropy(logits.float(), part.targets.to(self.device), reduction="sum")

    @staticmethod
    def vocabulary_of(folder: Path) -> Tokenizer:
        """The vocabulary in `folder`."""
        from tokenizers import Tokenizer

        return Tokenizer.from_file(str(folder / "tokenizer.json"))

    def _vocabulary(self) -> Tokenizer:
        path = self.folder / "tokenizer.json"
        if not path.exists():
            vocabulary.learn(self.recipe.seed).save(str(path))
        return self.vocabulary_of(self.folder)

    def _resume(self) -> None:
        import torch

        path = self.folder / "checkpoint.pt"
        if not path.exists():
            return
        state: dict[str, Any] = torch.load(path, map_location=self.device, weights_only=True)
        self.network.load_state_dict(state["network"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        self.step = state["step"]


def _optimizers(net: LlamaForCausalLM, recipe: Recipe) -> list[torch.optim.Optimizer]:
    """Muon (Jordan et al., 2024) for the matrices inside the layers, AdamW for the rest."""
    import torch

    matrices = [weight for name, weight in net.model.layers.named_parameters() if "norm" not in name]
    inside = {id(weight) for weight in matrices}
    others = [weight for weight in net.parameters() if id(weight) not in inside]
    return [
        torch.optim.Muon(
            [{"params": matrices, "peak": recipe.matrix_rate}],
            lr=recipe.matrix_rate,
            weight_decay=0.02,
            adjust_lr_fn="match_rms_adamw",
        ),
        torch.optim.AdamW(
            [{"params": others, "peak": recipe.other_rate}], lr=recipe.other_rate, betas=(0.9, 0.98), weight_decay=0.0
        ),
    ]
