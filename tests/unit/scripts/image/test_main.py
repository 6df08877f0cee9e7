from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from models import store
from models.spec import Feature, ModelSpec, TensorSpec
from scripts.image.__main__ import add_models, main, write_bill
from scripts.image.builders import Builder, ImageError

if TYPE_CHECKING:
    from pathlib import Path

SPEC = ModelSpec(
    name="toy",
    version="unsaved",
    framework="scikit-learn",
    engine="linear",
    description="Tells up from down.",
    features=(Feature(name="height", description="Height", unit="m", low=0, high=10),),
    labels=("down", "up"),
    inputs=(TensorSpec(name="features", datatype="FP32", shape=(-1, 1)),),
    outputs=(TensorSpec(name="probabilities", datatype="FP32", shape=(-1, 2)),),
    metrics={},
    trained_at=datetime(2026, 1, 1, tzinfo=UTC),
    data_source="made up",
)


def test_a_stored_model_is_taken_along(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENTOML_HOME", str(tmp_path / "home"))
    saved = store.save(SPEC, lambda folder: (folder / "weights").touch())
    add_models(tmp_path / "context", ["toy"])
    [found] = store.list_specs(folder=tmp_path / "context")
    assert (found.name, found.version) == ("toy", saved.version)
    assert (tmp_path / "context" / "toy" / "latest").read_text() == saved.version


def test_a_model_that_is_not_there_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENTOML_HOME", str(tmp_path))
    with pytest.raises(ImageError, match="'mine' is not in the model store"):
        add_models(tmp_path / "context", ["mine"])


def test_without_a_builder_nothing_is_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("BENTOML_HOME", str(tmp_path))
    assert main([]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("Nothing here can build an image")


def test_the_bill_is_named_after_the_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inventory = {"python": "3.11", "system": {}, "packages": [], "system_packages": []}
    podman = tmp_path / "podman"
    podman.write_text(f"#!/bin/sh\necho '{json.dumps(inventory)}'\n")
    podman.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    labels = {"org.opencontainers.image.version": "1", "org.opencontainers.image.licenses": "Apache-2.0"}
    path = write_bill(Builder("podman"), "registry:5000/ml/tandem:1-gpu", labels, tmp_path / "bills")
    assert path.name == "tandem-1-gpu.cdx.json"
    assert json.loads(path.read_text())["metadata"]["component"]["name"] == "registry:5000/ml/tandem:1-gpu"
