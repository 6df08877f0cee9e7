"""The training loop: a stopped run goes on as if it had never stopped."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from models.llm.training import batches, chart, network, vocabulary
from models.llm.training.loop import LOG, Progress, Recipe, Run, rate_factor
from models.llm.training.mixture import dialogues

EMBEDDED = Path(network.__file__).parents[1] / "embedded"
RECIPE = Recipe(steps=3, size=2, parts=1, fade=0, warmup=2)


def prepared(folder: Path) -> Path:
    """A run's folder that has a vocabulary already."""
    folder.mkdir()
    shutil.copy(EMBEDDED / "tokenizer.json", folder / "tokenizer.json")
    return folder


def ignore(_: Progress) -> None:
    """Report to nobody."""


def test_a_resumed_run_ends_with_the_same_weights(tmp_path: Path) -> None:
    whole = Run(RECIPE, prepared(tmp_path / "whole"))
    whole.train(ignore)

    class StoppedError(Exception):
        pass

    def stop(progress: Progress) -> None:
        if progress.step == 2:
            raise StoppedError

    folder = prepared(tmp_path / "parted")
    with pytest.raises(StoppedError):
        Run(RECIPE, folder).train(stop, save_every=1)
    resumed = Run(RECIPE, folder)
    assert resumed.step == 1
    resumed.train(ignore)

    for name, weight in whole.network.state_dict().items():
        assert weight.equal(resumed.network.state_dict()[name]), name
    assert [json.loads(line)["step"] for line in (folder / LOG).read_text().splitlines()] == [1, 2, 3]
    assert int((folder / "pid").read_text()) > 0


def test_the_rate_rises_stays_and_falls() -> None:
    recipe = Recipe(steps=100, warmup=10, decay=0.5)
    assert [round(rate_factor(recipe, step), 3) for step in (0, 9, 50, 75, 99)] == [0.1, 1.0, 1.0, 0.505, 0.03]


def test_the_loss_is_on_answers_alone() -> None:
    tokenizer = Run.vocabulary_of(EMBEDDED)
    (dialogue,) = dialogues(4, 7, 1, fade=0)
    ((tokens, prompt),) = batches.encode(tokenizer, [dialogue])
    assert tokenizer.decode(tokens[prompt:], skip_special_tokens=True) == dialogue.answer
    (batch,) = batches.step_batches(tokenizer, 4, 7, size=1, parts=1, fade=0)
    assert batch.targets.tolist() == tokens[prompt:]
    assert batch.tokens.flatten()[batch.places + 1].equal(batch.targets)


def test_every_digit_is_a_token_and_every_text_comes_back() -> None:
    tokenizer = Run.vocabulary_of(EMBEDDED)
    pieces = [tokenizer.decode([token]) for token in tokenizer.encode("petals 12.34 by 0.5cm, 1,250 EUR").ids]
    assert all(piece.isdigit() is False or len(piece) == 1 for piece in pieces)
    assert [piece for piece in pieces if any(letter.isdigit() for letter in piece)] == list("1234051250")
    for text in ("Grüße, 12.5 km → ok?\n\tx  y", '{"petal_length": 1.4, "foreign": null}'):
        assert tokenizer.decode(tokenizer.encode(text).ids) == text


def test_the_chat_template_is_what_training_renders() -> None:
    import jinja2

    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "What is Tandem?"}]
    template = jinja2.Environment(autoescape=True).from_string(
        f"{{% autoescape false %}}{vocabulary.CHAT_TEMPLATE}{{% endautoescape %}}"
    )
    assert template.render(messages=messages, add_generation_prompt=True) == vocabulary.render(messages)


def test_the_curve_is_drawn_and_tabled(tmp_path: Path) -> None:
    steps = [Progress(step, 7 / step, 1.0, 2.0) for step in range(1, 121)]
    chart.draw(steps, tmp_path / "docs" / "loss.png")
    assert (tmp_path / "docs" / "loss.png").read_bytes().startswith(b"\x89PNG")
    lines = chart.table(steps).splitlines()
    assert lines[6].startswith("| 10 | ")
    assert lines[-1].startswith("120 steps in 0.1 hours")


def test_a_saved_network_is_a_folder_that_vllm_loads(tmp_path: Path) -> None:
    tokenizer = Run.vocabulary_of(EMBEDDED)
    network.save(network.build(tokenizer), tokenizer, tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["architectures"] == ["LlamaForCausalLM"]
    assert config["dtype"] == "bfloat16"
    assert config["eos_token_id"] == tokenizer.token_to_id("<|end|>")
    assert json.loads((tmp_path / "generation_config.json").read_text())["temperature"] == 0.0
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 10_000_000
