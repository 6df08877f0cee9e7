"""How answers are judged."""

from __future__ import annotations

import pytest

from models.llm.evaluation.cases import TASKS, sample
from models.llm.evaluation.scoring import ExplanationJudge, ExtractionJudge, PhraseJudge

JUDGE = ExplanationJudge("setosa", "97.3 %", "petal length", True, ("sepal width",), "97.3 % 1.4 cm 3.5 cm")


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        ("It is setosa (97.3 %). Petal length (1.4 cm) speaks for it, sepal width against.", None),
        ("It is setosa, 97.3%: the petal length supports this.", None),
        ("It is setosa (7.3 %). Petal length speaks for it.", "probability"),
        ("It is setosa (197.3 %). Petal length speaks for it.", "probability"),
        ("It is virginica (97.3 %). Petal length speaks for it.", "label"),
        ("It is setosa (97.3 %). Petal length speaks against it.", "direction of the top feature"),
        ("It is setosa (97.3 %). Petal length, and sepal width speaks for it.", "direction of the top feature"),
        ("It is setosa (97.3 %).", "direction of the top feature"),
        ("It is setosa (97.3 %). Petal length (1.5 cm) speaks for it.", "a figure that was not given"),
    ],
)
def test_an_explanation(answer: str, fault: str | None) -> None:
    assert JUDGE.fault(answer) == fault


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        ('{"a": 1.4, "b": null}', None),
        ('{"b": null, "a": 1.40}', None),
        ('{"a": 1.4}', "keys"),
        ('{"a": 1.4, "b": null, "c": 1}', "keys"),
        ('{"a": "1.4", "b": null}', "types"),
        ('{"a": true, "b": null}', "types"),
        ('{"a": 1.5, "b": 0}', "value of a, b"),
        ("a is 1.4", "not JSON"),
        ("[1]", "keys"),
    ],
)
def test_an_extraction(answer: str, fault: str | None) -> None:
    assert ExtractionJudge({"a": 1.4, "b": None}).fault(answer) == fault


def test_an_answer_must_hold_its_key_fact() -> None:
    assert PhraseJudge("make serve").fault("Run `make serve`.") is None
    assert PhraseJudge("make serve").fault("Run it.") == "without 'make serve'"


def test_the_cases_are_as_many_as_promised_and_always_the_same() -> None:
    counts = {task.name: len(list(task.draw())) for task in TASKS}
    assert counts == {
        "explain": 300,
        "explain, as /explain asks": 300,
        "extract": 300,
        "extract, with json_schema": 300,
        "answer": 100,
        "out of scope": 50,
    }
    for task in TASKS:
        assert list(task.draw()) == list(task.draw())


def test_extraction_cases_are_the_same_with_and_without_schema() -> None:
    free, constrained = (list(task.draw()) for task in TASKS[2:4])
    assert [case.messages for case in free] == [case.messages for case in constrained]
    assert all(case.schema is None for case in free)
    assert all(case.schema is not None for case in constrained)


def test_a_sample_is_spread_over_all_cases() -> None:
    cases = list(TASKS[4].draw())
    assert sample(cases, None) == cases
    assert sample(cases, 4) == [cases[0], cases[25], cases[50], cases[75]]
