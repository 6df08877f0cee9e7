from __future__ import annotations

import pytest

from tests.promql import named


@pytest.mark.parametrize(
    ("expression", "metrics", "grouped"),
    [
        ("up == 0", {"up": set()}, set()),
        ('a{b="c{d}", e=~"f"} / b > 0.5', {"a": {"b", "e"}, "b": set()}, set()),
        ('sum by (job, le) (rate(a_bucket{x="y"}[5m]))', {"a_bucket": {"x"}}, {"job", "le"}),
        ("sum(rate(a[1m])) without (b) or vector(0)", {"a": set()}, {"b"}),
        ("a:b:rate5m offset 5m and on (c) group_left (d) vllm:e", {"a:b:rate5m": set(), "vllm:e": set()}, {"c", "d"}),
        ('histogram_quantile(0.99, a) or label_replace(b, "x", "$1", "y", "(.*)")', {"a": set(), "b": set()}, set()),
    ],
)
def test_what_an_expression_names(expression: str, metrics: dict[str, set[str]], grouped: set[str]) -> None:
    found = named(expression)
    assert found.metrics == metrics
    assert found.grouped == grouped
