from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from scripts.bench import catalogue, cost
from scripts.bench.cost import HELD, VARIANTS, check
from services.settings.tree import Settings
from tests.unit.scripts.bench.test_samples import SAMPLE

if TYPE_CHECKING:
    from pathlib import Path

    from models.spec import ModelSpec
    from scripts.bench.samples import Sample


def measured(**rates: float) -> list[Sample]:
    return [replace(SAMPLE, peer=name.replace("_", "-"), per_second=rate) for name, rate in rates.items()]


def test_the_goal_is_a_share_of_what_is_left() -> None:
    found = check(measured(without=1000, all=900, all_traced_0=899, all_traced_1=950, all_traced_100=10))
    assert [one.met for one in found] == [True, False, True, True]
    assert "90.0%" in found[0].measured


def test_a_failed_request_misses_the_goal() -> None:
    assert not check([replace(SAMPLE, peer="without", errors=1)])[-1].met


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda one: one.name)
def test_every_variant_is_one_that_starts(
    variant: cost.Variant, iris_spec: ModelSpec, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(cost, "WORK", tmp_path)
    monkeypatch.setattr(catalogue, "WORK", tmp_path)
    monkeypatch.setattr("models.store.list_specs", lambda: [iris_spec])
    peer = cost.peer_of(variant, 0, "http://127.0.0.1:4318")
    command = peer.prepare(peer)
    for name, value in command.env.items():
        if name.startswith("TANDEM_"):
            monkeypatch.setenv(name, value)
    settings = Settings()
    assert variant.target in command.argv
    assert settings.limits.caller.__bool__() == ("all" in variant.name)
    assert (settings.tracing.endpoint is not None) == (variant.sample_ratio is not None)
    assert settings.keys.file.parent == tmp_path / "cost"
    if settings.tracing.endpoint:
        assert settings.tracing.sample_ratio == variant.sample_ratio


def test_the_file_has_ratios_of_every_variant(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    samples = measured(without=1000, metrics=990, all=900)
    samples += [
        replace(one, round=1, per_second=one.per_second * scale)
        for one, scale in zip(samples, (1, 1, 0.9), strict=True)
    ]
    cost.publish(samples, check(samples), {"date": "today"}, tmp_path)
    content = json.loads((tmp_path / "cost.json").read_text())
    assert content["of_without"] == {"without": 1.0, "metrics": 0.99, "all": 0.855}
    assert content["of_without_within"] == {"without": 0.0, "metrics": 0.0, "all": 0.09}
    assert content["cpu_us_per_request"]["without"] == 1500.0
    assert content["date"] == "today"
    assert {one["name"] for one in content["variants"]} >= set(HELD)
    assert "metrics, access log, keys, a limit a minute" in capsys.readouterr().out


def test_how_well_a_share_is_known_goes_by_the_rounds() -> None:
    samples = []
    for at, rate in enumerate((900, 920, 940)):
        samples += [replace(one, round=at) for one in measured(without=1000, all=rate)]
    assert cost.doubt(samples, "all") == pytest.approx(2 * 0.02 / 3**0.5)
    assert cost.doubt(samples[:2], "all") is None
