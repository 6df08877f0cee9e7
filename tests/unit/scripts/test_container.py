from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from scripts import container
from scripts.container import environment, settle_models, settle_vllm_cache

ROOT = Path(__file__).parents[3]


@pytest.fixture
def shipped(tmp_path: Path) -> Path:
    """The models of an image."""
    (tmp_path / "shipped" / "iris" / "1").mkdir(parents=True)
    (tmp_path / "shipped" / "iris" / "latest").write_text("1")
    return tmp_path / "shipped"


def test_the_callers_environment_wins(tmp_path: Path) -> None:
    said = environment({"BENTOML_HOME": "/mine"}, tmp_path / "none")
    assert "BENTOML_HOME" not in said
    assert said["TANDEM_KEYS__FILE"] == "/run/secrets/tandem-keys.json"
    assert "HF_HOME" not in said
    assert environment({}, tmp_path)["HF_HOME"] == str(tmp_path / "huggingface")


def test_without_a_volume_the_store_is_a_copy_that_can_be_written(tmp_path: Path, shipped: Path) -> None:
    settle_models(tmp_path / "home", tmp_path / "no-volume", shipped)
    store = tmp_path / "home" / "models"
    assert not store.is_symlink()
    assert (store / "iris" / "latest").read_text() == "1"
    (store / "mine").mkdir()
    settle_models(tmp_path / "home", tmp_path / "no-volume", shipped)
    assert (store / "mine").is_dir(), "a restart keeps what was added"


def test_a_volume_with_models_is_the_store(tmp_path: Path, shipped: Path) -> None:
    (tmp_path / "volume" / "mine").mkdir(parents=True)
    settle_models(tmp_path / "home", tmp_path / "volume", shipped)
    assert [path.name for path in (tmp_path / "home" / "models").iterdir()] == ["mine"]


def test_an_empty_volume_is_filled(tmp_path: Path, shipped: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "volume").mkdir()
    monkeypatch.setattr(Path, "is_mount", lambda path: path == tmp_path / "volume")
    settle_models(tmp_path / "home", tmp_path / "volume", shipped)
    assert (tmp_path / "volume" / "iris" / "latest").read_text() == "1"
    assert (tmp_path / "home" / "models").resolve() == tmp_path / "volume"


def test_a_folder_of_the_image_itself_is_not_filled(tmp_path: Path, shipped: Path) -> None:
    (tmp_path / "volume").mkdir()
    settle_models(tmp_path / "home", tmp_path / "volume", shipped)
    assert not any((tmp_path / "volume").iterdir())
    assert (tmp_path / "home" / "models" / "iris").is_dir()


def test_what_vllm_learnt_is_put_where_it_looks(tmp_path: Path) -> None:
    (tmp_path / "learnt" / "modelinfos").mkdir(parents=True)
    (tmp_path / "learnt" / "modelinfos" / "llama.json").write_text("{}")
    settle_vllm_cache(tmp_path / "cache", tmp_path / "learnt")
    assert (tmp_path / "cache" / "modelinfos" / "llama.json").read_text() == "{}"
    settle_vllm_cache(tmp_path / "other", tmp_path / "not-there")
    assert not (tmp_path / "other").exists()


def run(tmp_path: Path, shipped: Path, *arguments: str, **said: str) -> subprocess.CompletedProcess[str]:
    """The entry point, as a container of its own would run it."""
    bento = tmp_path / "bento"
    (bento / "env" / "docker").mkdir(parents=True)
    (bento / "env" / "docker" / "entrypoint.sh").write_text('echo "BentoML is asked for $*"\n')
    (bento / "models").symlink_to(shipped)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TANDEM_")}
    home = {"BENTOML_HOME": str(tmp_path / "home"), "VLLM_CACHE_ROOT": str(tmp_path / "vllm")}
    environment = {**kept, "BENTO_PATH": str(bento), "TANDEM_KEYS__FILE": str(tmp_path / "keys.json"), **home, **said}
    command = [sys.executable, "-m", "scripts.container", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=120)


def test_without_keys_it_does_not_start_and_says_the_ways_out(tmp_path: Path, shipped: Path) -> None:
    done = run(tmp_path, shipped)
    assert done.returncode == 1
    assert "no keys are configured" in done.stderr
    assert "keys create" in done.stderr
    assert "docker run -e TANDEM_AUTH=off" in done.stderr


def test_a_wrong_setting_is_said_before_keys_are_asked_for(tmp_path: Path, shipped: Path) -> None:
    done = run(tmp_path, shipped, TANDEM_GATEWAY__WORKERS="none")
    assert done.returncode == 1
    assert "TANDEM_GATEWAY__WORKERS" in done.stderr
    assert "keys create" not in done.stderr


def test_keys_are_made_in_the_file_that_is_named(tmp_path: Path, shipped: Path) -> None:
    done = run(tmp_path, shipped, "keys", "create", "somebody")
    assert done.returncode == 0
    assert "tdm_" in done.stdout
    assert "somebody" in (tmp_path / "keys.json").read_text()


def test_other_commands_go_to_bentoml(tmp_path: Path, shipped: Path) -> None:
    assert run(tmp_path, shipped, "serve", "--port", "1").stdout == "BentoML is asked for serve --port 1\n"
    assert (tmp_path / "home" / "models" / "iris").is_dir()


def test_models_are_those_of_the_store(tmp_path: Path, shipped: Path) -> None:
    done = run(tmp_path, shipped, "models", "show", "mine")
    assert done.returncode == 1
    assert "Model 'mine' is not in the model store" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_stop_during_the_start_is_heeded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("BENTO_PATH", str(tmp_path))
    monkeypatch.setattr(container, "settle_models", lambda *_: os.kill(os.getpid(), signal.SIGTERM))
    before = signal.getsignal(signal.SIGTERM)
    try:
        with pytest.raises(SystemExit) as end:
            container.main([])
    finally:
        signal.signal(signal.SIGTERM, before)
    assert end.value.code == 0
