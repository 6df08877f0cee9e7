from __future__ import annotations

import json

import pytest

from tests.monitoring import DASHBOARD, dashboard_queries, own_metrics, panels, queries, unknown_of_own
from tests.promql import named


@pytest.mark.parametrize("query", dashboard_queries())
def test_queries_name_metrics_and_labels_that_exist(query: str) -> None:
    # vLLM's are held to a real exposition in tests/e2e/test_metrics.py.
    assert unknown_of_own(query) == []


def test_every_metric_of_tandem_is_shown_or_rung_for() -> None:
    used = {metric for query in queries() for metric in named(query).metrics}
    not_shown = {name.removesuffix("_bucket") for name in own_metrics() if name.endswith("_bucket")}
    not_shown |= {name for name in own_metrics() if not name.endswith(("_bucket", "_sum", "_count"))}
    not_shown -= {name.removesuffix("_bucket").removesuffix("_sum").removesuffix("_count") for name in used}
    assert not_shown == {
        "tandem_build_info",  # the dashboard's list of jobs comes from it
        "tandem_admission_in_flight_tokens",
    }


def test_panels_are_in_rows_and_do_not_overlap() -> None:
    read = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    assert [panel["title"] for panel in read["panels"] if panel["type"] == "row"] == [
        "Traffic",
        "Latency",
        "Batching",
        "Language model",
        "Limits and rejections",
        "Processes",
        "GPUs",
    ]
    places = [
        (x, y)
        for panel in read["panels"]
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(places) == len(set(places))
    assert len({panel["id"] for panel in read["panels"]}) == len(read["panels"])


def test_everything_is_asked_of_the_data_source_that_is_chosen() -> None:
    chosen = {"type": "prometheus", "uid": "${datasource}"}
    for panel in panels():
        assert panel["datasource"] == chosen
        assert all(target["datasource"] == chosen for target in panel["targets"])
        assert all("$job" in target["expr"] for target in panel["targets"])
