from __future__ import annotations

import msgspec
import pytest

from services.gateway.native.answers import classified
from tests.fakes import make_spec

SPEC = make_spec()


@pytest.mark.parametrize("count", [0, 1, 15, 16, 100])
def test_each_row_gets_its_likeliest_label_and_every_probability(count: int) -> None:
    winners = [row % len(SPEC.labels) for row in range(count)]
    answers = [[0.75 if index == winner else 0.125 for index in range(len(SPEC.labels))] for winner in winners]
    body = msgspec.json.decode(msgspec.json.encode(classified(SPEC, answers)))
    assert (body["model"], body["version"]) == (SPEC.name, SPEC.version)
    assert [prediction["label"] for prediction in body["predictions"]] == [SPEC.labels[winner] for winner in winners]
    assert [list(prediction["probabilities"].values()) for prediction in body["predictions"]] == answers
    assert all(tuple(prediction["probabilities"]) == SPEC.labels for prediction in body["predictions"])


def test_a_label_may_be_any_text() -> None:
    spec = SPEC.model_copy(update={"labels": ("not spam", "class", '1" ü')})
    body = msgspec.json.decode(msgspec.json.encode(classified(spec, [[0.1, 0.2, 0.7]])))
    assert body["predictions"][0] == {"label": '1" ü', "probabilities": {"not spam": 0.1, "class": 0.2, '1" ü': 0.7}}
