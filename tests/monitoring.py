"""The queries of deploy/prometheus and deploy/grafana, and what they may name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from services.telemetry import definitions
from tests.promql import named

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

DEPLOY = Path(__file__).parent.parent / "deploy"
RULES = DEPLOY / "prometheus" / "rules.yaml"
DASHBOARD = DEPLOY / "grafana" / "dashboard.json"

_OF_PROMETHEUS = {"up": frozenset[str](), "ALERTS": frozenset({"alertname", "alertstate", "severity"})}
_OF_EVERY_TARGET = frozenset({"job", "instance"})
_ENDINGS = {"histogram": ("_bucket", "_sum", "_count"), "counter": ("",), "gauge": ("",)}


def rules() -> list[dict[str, Any]]:
    """Every rule, of all groups."""
    read = yaml.safe_load(RULES.read_text(encoding="utf-8"))
    return [rule for group in read["groups"] for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    """Every panel of the dashboard that shows something."""
    read = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    return [panel for panel in read["panels"] if panel["type"] != "row"]


def dashboard_queries() -> list[str]:
    """Every query of the dashboard, with values for its variables."""
    read = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    expressions = [target["expr"] for panel in panels() for target in panel["targets"]]
    expressions += [one["expr"] for one in read["annotations"]["list"]]
    return [one.replace("$job", ".+").replace("$__rate_interval", "1m") for one in expressions]


def queries() -> list[str]:
    """Every query there is."""
    return [str(rule["expr"]) for rule in rules()] + dashboard_queries()


def own_metrics() -> dict[str, frozenset[str]]:
    """The samples that Tandem's own metrics have, and their labels."""
    return {
        one.shown + ending: frozenset(one.labels) | ({"le"} if ending == "_bucket" else frozenset())
        for one in definitions.ALL
        for ending in _ENDINGS[one.kind]
    }


def recorded() -> dict[str, frozenset[str]]:
    """The series that rules record, and the labels that they keep."""
    return {rule["record"]: named(rule["expr"]).grouped - {"le"} for rule in rules() if "record" in rule}


def unknown(expression: str, known: Mapping[str, frozenset[str]]) -> Iterator[str]:
    """What `expression` names that is neither in `known`, nor recorded, nor Prometheus' own."""
    there = {**known, **recorded(), **_OF_PROMETHEUS}
    asked = named(expression)
    for metric, labels in asked.metrics.items():
        if metric not in there:
            yield metric
        else:
            yield from (f"{metric}{{{label}}}" for label in labels - there[metric] - _OF_EVERY_TARGET)
    of_any = frozenset[str]().union(*(there.get(metric, ()) for metric in asked.metrics)) | _OF_EVERY_TARGET
    yield from (f"by ({label})" for label in asked.grouped - of_any)


def unknown_of_own(expression: str) -> list[str]:
    """What `expression` names that is unknown, but for vLLM's own metrics, which only a real exposition has."""
    if "vllm:" in expression:
        return [one for one in unknown(expression, own_metrics()) if not one.startswith(("vllm:", "by ("))]
    return list(unknown(expression, own_metrics()))
