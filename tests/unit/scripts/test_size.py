from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from scripts.size import main
from services.settings.llm import EMBEDDED_LLM
from tests.unit.scripts.sizing import configs

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(configs.LLAMA_3_1_8B), encoding="utf-8")
    return path


def test_says_what_fits_and_how_often(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(config), "--context", "8192"]) == 0
    said = capsys.readouterr().out
    assert "8.03 billion" in said
    assert "14.96 GiB" in said
    assert "1.00 GiB a sequence of 8,192 tokens (128.0 KiB a token)" in said
    rows = {line[:14].strip(): line[14:].split() for line in said.splitlines() if " GiB  " in line}
    assert rows["T4"][2] == "2"
    assert rows["L4"][2:] == ["1", "2"]
    assert rows["H100"][2:] == ["1", "53"]
    assert "for each TANDEM_LLM__KV_CACHE_GIB: 1." in said


def test_takes_the_longest_context_by_default(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(EMBEDDED_LLM)]) == 0
    said = capsys.readouterr().out
    assert "3.54 million" in said
    assert "6.8 MiB" in said
    assert "a sequence of 1,024 tokens (4.0 KiB a token)" in said


def test_says_of_experts_how_many_work(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "config.json").write_text(json.dumps(configs.MIXTRAL_8X7B), encoding="utf-8")
    assert main([str(tmp_path)]) == 0
    assert "46.70 billion, 12.88 billion active a token" in capsys.readouterr().out


def test_says_when_it_had_to_guess(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "config.json").write_text(json.dumps(configs.LLAMA_3_1_8B | {"model_type": "novel"}), encoding="utf-8")
    assert main([str(tmp_path)]) == 0
    assert "'novel'" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{}", "no hidden_size"),
        ("no json", "cannot be read"),
        (json.dumps({**configs.LLAMA_3_1_8B, "max_position_embeddings": None}), "give --context"),
    ],
)
def test_refuses_what_is_no_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str, reason: str
) -> None:
    (tmp_path / "config.json").write_text(content, encoding="utf-8")
    assert main([str(tmp_path)]) == 1
    assert reason in capsys.readouterr().err


def test_refuses_a_folder_without_a_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path)]) == 1
    assert "cannot be read" in capsys.readouterr().err
