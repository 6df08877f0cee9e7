from __future__ import annotations

import pytest

from scripts.bench.soak import Track


def test_growth_is_measured_from_the_first_look_after_it_settled() -> None:
    track = Track("Gateway", [(0, 50), (30, 90), (60, 100), (300, 101), (550, 104), (560, 104), (600, 110)])
    assert track.growth(60) == pytest.approx(0.04)


def test_a_process_that_came_and_went_has_not_grown() -> None:
    assert Track("gone", [(1, 100)]).growth(60) == 0
