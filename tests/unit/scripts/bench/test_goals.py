from __future__ import annotations

from dataclasses import replace
from typing import Any

from scripts.bench.goals import Goal, check, check_v2
from scripts.bench.samples import Load, Sample, Start
from tests.unit.scripts.bench.test_samples import SAMPLE


def measured(rate: float, **figures: Any) -> list[Sample]:
    return [
        replace(SAMPLE, per_second=rate, **figures),
        replace(SAMPLE, peer="triton", per_second=2000.0, p99=40.0),
        replace(SAMPLE, load=Load(1), p50=1.2),
    ]


def verdicts(goals: list[Goal]) -> dict[str, bool]:
    return {goal.text: goal.met for goal in goals}


def test_met_goals_are_said_to_be_met() -> None:
    found = verdicts(check(measured(10_000.0, p99=19.0), [Start("tandem", 0, 5.0)]))
    assert found
    assert all(found.values())


def test_each_missed_goal_is_named() -> None:
    found = verdicts(check(measured(9_999.0, p99=20.5, errors=1), [Start("tandem", 0, 8.5)]))
    missed = {text for text, met in found.items() if not met}
    assert missed == {
        "at least 5x triton at 64 connections",
        "p99 at most half of triton's at 64 connections",
        "p99 at most 20 ms at 64 connections",
        "no failed request",
        "first answer in under 8 s",
    }


def test_goals_without_figures_are_left_out() -> None:
    assert check([], []) == []


def test_it_is_ahead_in_both_ways_to_speak_v2_or_says_where_not() -> None:
    rates = {
        "tandem-v2": 9.0,
        "tandem-grpc": 4.0,
        "mlserver": 3.0,
        "mlserver-grpc": 2.0,
        "triton": 3.0,
        "triton-grpc": 5.0,
    }
    found = verdicts(check_v2([replace(SAMPLE, peer=peer, per_second=rate) for peer, rate in rates.items()]))
    assert len(found) == 5
    assert {text for text, met in found.items() if not met} == {"ahead of triton over gRPC at 64 connections"}
