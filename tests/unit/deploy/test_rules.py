from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.monitoring import RULES, rules, unknown_of_own

HERE = Path(__file__).parent
SCENARIOS = ("rules.test.yaml", "rules-slow.test.yaml")
promtool = pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed (apt: prometheus)")


@promtool
@pytest.mark.parametrize("scenarios", SCENARIOS)
def test_alerts_fire_when_they_should_and_only_then(scenarios: str) -> None:
    done = subprocess.run(
        ["promtool", "test", "rules", scenarios], cwd=HERE, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@promtool
def test_prometheus_accepts_the_rules() -> None:
    done = subprocess.run(
        ["promtool", "check", "rules", RULES], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_fires_in_a_scenario() -> None:
    fired: set[str] = set()
    for scenarios in SCENARIOS:
        read: dict[str, Any] = yaml.safe_load((HERE / scenarios).read_text(encoding="utf-8"))
        for test in read["tests"]:
            fired |= {case["alertname"] for case in test.get("alert_rule_test", ()) if case.get("exp_alerts")}
    assert fired == {rule["alert"] for rule in rules() if "alert" in rule}


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule.get("alert") or rule.get("record"))
def test_rules_name_metrics_and_labels_that_exist(rule: dict[str, Any]) -> None:
    # vLLM's are held to a real exposition in tests/e2e/test_metrics.py.
    assert unknown_of_own(rule["expr"]) == []


@pytest.mark.parametrize("rule", [rule for rule in rules() if "alert" in rule], ids=lambda rule: rule["alert"])
def test_every_alert_says_how_bad_it_is_and_what_to_do(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in {"critical", "warning"}
    assert rule["annotations"].keys() == {"summary", "description"}
