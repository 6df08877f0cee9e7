from __future__ import annotations

from dataclasses import replace

import pytest

from scripts.bench.samples import Load, Sample, as_json, ratio, summarise

SAMPLE = Sample(
    peer="tandem",
    round=0,
    load=Load(64),
    per_second=1000.0,
    p50=2.0,
    p90=3.0,
    p99=5.0,
    longest=9.0,
    errors=0,
    socket_errors=0,
    server_cores=1.5,
    client_cores=0.2,
    other_cores=0.0,
    rss_mib=100.0,
)


def test_a_summary_takes_medians_and_adds_errors_up() -> None:
    samples = [
        replace(SAMPLE, round=number, per_second=rate, p99=tail, errors=number, socket_errors=1)
        for number, (rate, tail) in enumerate([(900.0, 9.0), (5000.0, 4.0), (1000.0, 5.0)])
    ]
    [summary] = summarise(samples)
    assert summary.per_second == 1000.0
    assert summary.p99 == 5.0
    assert summary.errors == 0 + 1 + 2 + 3
    assert summary.rounds == 3


def test_points_and_servers_are_kept_apart_and_rows_count() -> None:
    samples = [SAMPLE, replace(SAMPLE, load=Load(4, 1000)), replace(SAMPLE, peer="raw")]
    summaries = summarise(samples)
    assert [(one.peer, one.load) for one in summaries] == [
        ("tandem", Load(64)),
        ("tandem", Load(4, 1000)),
        ("raw", Load(64)),
    ]
    assert summaries[1].rows_per_second == 1_000_000


def test_a_ratio_pairs_the_figures_of_one_round() -> None:
    samples = [
        replace(SAMPLE, round=0, per_second=100.0),
        replace(SAMPLE, round=1, per_second=300.0),
        replace(SAMPLE, round=2, per_second=900.0),
        replace(SAMPLE, peer="raw", round=0, per_second=50.0),
        replace(SAMPLE, peer="raw", round=1, per_second=100.0),
    ]
    assert ratio(samples, Load(64), "tandem", "raw") == pytest.approx(2.5)
    assert ratio(samples, Load(64), "tandem", "absent") is None


def test_json_is_flat_and_rounded() -> None:
    [row] = as_json([replace(SAMPLE, p50=1.23456)])
    assert row["p50"] == 1.235
    assert row["load"] == {"connections": 64, "rows": 1}
