"""The GPU that the files in `deploy` suggest holds the model that they name, as `scripts/size.py` has it."""

from __future__ import annotations

import re
from pathlib import Path

from scripts.size import lines
from scripts.sizing.memory import GPUS, Model, weight_bytes
from scripts.sizing.parameters import count
from services.telemetry import definitions
from tests.manifests import DEPLOY
from tests.unit.scripts.sizing.configs import QWEN3_4B

CONTEXT = 16_384
PAGE = (DEPLOY.parent / "docs" / "deploy.md").read_text(encoding="utf-8")


def suggested() -> Model:
    counts = count(QWEN3_4B)
    return Model(counts, weight_bytes(QWEN3_4B, counts), QWEN3_4B, 2)


def test_every_file_names_the_same_model_and_context() -> None:
    files = ("bentocloud.yaml", "compose.gpu.yaml", "kubernetes/overlays/gpu/kustomization.yaml")
    for text in (Path(DEPLOY / file).read_text(encoding="utf-8") for file in files):
        assert re.findall(r"Qwen/[\w-]+", text) == ["Qwen/Qwen3-4B"]
        assert len(re.findall(rf"\b{CONTEXT}\b", text)) == 1


def test_an_l4_holds_several_of_the_longest_sequences() -> None:
    fit = suggested().fit(next(gpu for gpu in GPUS if gpu.name == "L4"), CONTEXT)
    assert fit is not None
    assert (fit.gpus, fit.sequences) == (1, 5)


def test_the_page_shows_what_the_command_prints() -> None:
    printed = set(lines(suggested(), CONTEXT, 0.9))
    (shown,) = re.findall(r"```\n(parameters .*?)```", PAGE, re.DOTALL)
    assert set(shown.splitlines()) <= printed | {""}


def test_the_page_names_metrics_that_there_are() -> None:
    ours = {one.shown for one in definitions.ALL}
    named = set(re.findall(r"`((?:tandem|gen_ai)_[a-z_]+)`", PAGE))
    assert named
    assert named <= ours
