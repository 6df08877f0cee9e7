from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from scripts.bench import report
from scripts.bench.llm import compare, figures, soak
from scripts.bench.llm.client import Stream

if TYPE_CHECKING:
    from pathlib import Path

COST = figures.Cost(server_cores=1.0, client_cores=0.1, other_cores=0.0, rss_mib=100.0)


def stream(
    start: float, *stamps: float, failure: str | None = None, tokens: int | None = None, gap: float = 0.0
) -> Stream:
    return Stream(start, 200, list(stamps), tokens if tokens is not None else len(stamps), gap, failure)


def test_figures_count_chunks_within_the_window_only() -> None:
    streams = [
        stream(10.0, 10.1, 10.2, 10.4, tokens=6),
        stream(10.0, 10.3, 11.5, tokens=4),
        stream(10.0, 10.2, failure="the connection was lost"),
    ]
    found = figures.sample("tandem", 0, 3, streams, (10.0, 11.0), COST)
    assert found.chunks_per_second == pytest.approx(5)
    assert found.tokens_per_second == pytest.approx(5 * 10 / 5)
    assert (found.finished, found.failed) == (2, 1)
    assert found.ttft_p50 == pytest.approx(300)
    assert found.itl_p99 == pytest.approx(1200)


def test_percentiles_are_nearest_ranks() -> None:
    assert figures.percentile([4.0, 1.0, 3.0, 2.0], 0.5) == 3.0
    assert figures.percentile([1.0], 0.99) == 1.0
    assert math.isnan(figures.percentile([], 0.5))


def pairs(own: list[float], other: list[float]) -> list[figures.LlmSample]:
    base = figures.sample("tandem", 0, 64, [stream(0.0, 0.1, 0.2)], (0.0, 1.0), COST)
    return [
        replace(base, server=server, round=number, streams=streams, chunks_per_second=rate, tokens_per_second=rate)
        for streams in (1, 16, 64)
        for server, rates in (("tandem", own), ("vllm", other))
        for number, rate in enumerate(rates)
    ]


def test_goals_are_medians_of_paired_rounds() -> None:
    met = {goal.text: goal.met for goal in figures.check(pairs([100.0, 90.0, 300.0], [99.0, 100.0, 200.0]))}
    assert all(met.values())
    missed = {goal.text for goal in figures.check(pairs([100.0], [101.0])) if not goal.met}
    assert missed == {
        f"{unit} at least vLLM's own at {streams} streams" for unit in ("chunks/s", "tokens/s") for streams in (16, 64)
    }


def test_a_round_in_which_a_server_finished_nothing_is_no_pair() -> None:
    samples = [replace(one, finished=0) if one.server == "vllm" else one for one in pairs([100.0], [0.0])]
    assert figures.paired(samples, 16, "chunks_per_second") == []


def test_the_report_is_json_without_nan(tmp_path: Path) -> None:
    samples = [replace(one, itl_p50=float("nan")) for one in pairs([100.0], [100.0])]
    compare.write_report(samples, report.facts({}), tmp_path)

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    content = json.loads((tmp_path / "llm.json").read_text(), parse_constant=refuse)
    assert len(content["samples"]) == len(samples)
    assert (tmp_path / "llm-streams.svg").exists()


def test_a_soak_counts_lost_short_and_stalled_streams() -> None:
    streams = [
        stream(0.0, 1.0, tokens=soak.TOKENS),
        stream(0.0, 1.0, tokens=soak.TOKENS, gap=6.0),
        stream(0.0, 1.0, tokens=3),
        stream(0.0, failure="no byte for 60 s", gap=60.0),
    ]
    found = soak.verdict(streams)
    assert (found["whole"], found["lost"], found["short"], found["stalled"]) == (2, 1, 1, 2)
    assert found["reasons"] == {"no byte for 60 s": 1}
