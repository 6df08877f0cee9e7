from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.errors import InvalidInput, PayloadTooLarge
from services.gateway.control.tokens import Ask, Usage, read_ask, read_usage, with_usage
from services.settings.control import AdmissionSettings

SETTINGS = AdmissionSettings(assumed_new_tokens=1000, max_messages=3, llm_max_body_bytes=4096, max_new_tokens=5000)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def ask(**fields: Any) -> Ask:
    return read_ask(json.dumps(fields).encode(), SETTINGS)


@pytest.mark.parametrize(
    ("fields", "answer"),
    [
        ({}, 1000),
        ({"max_tokens": 7}, 7),
        ({"max_completion_tokens": 9, "max_tokens": 7}, 9),
        ({"max_output_tokens": 5}, 5),
        ({"max_tokens": 7, "n": 3}, 21),
        ({"max_tokens": 7, "n": 2, "best_of": 4}, 28),
        ({"max_tokens": 7, "prompt": ["a", "b"]}, 14),
        ({"max_tokens": 7, "prompt": [[1, 2], [3]]}, 14),
        ({"max_tokens": 7, "prompt": [1, 2, 3]}, 7),
        ({"max_tokens": True, "n": "many"}, 1000),
        ({"max_tokens": -4}, 1000),
        ({"max_tokens": "300"}, 300),
        ({"max_tokens": 300.0}, 300),
        ({"max_completion_tokens": 1, "max_tokens": 300}, 300),
    ],
)
def test_most_tokens_of_all_answers(fields: dict[str, Any], answer: int) -> None:
    assert ask(**fields).answer == answer


def test_prompt_is_estimated_from_above_by_its_bytes() -> None:
    body = json.dumps({"messages": [{"role": "user", "content": "word " * 300}]}).encode()
    assert 300 <= read_ask(body, SETTINGS).prompt <= len(body) / 2


def test_model_and_stream_are_told() -> None:
    asked = ask(model="m", stream=True, stream_options={"include_usage": True})
    assert (asked.model, asked.streams, asked.reports_usage) == ("m", True, True)
    assert not ask(model=7, stream_options={"include_usage": False}).reports_usage


def test_bounds() -> None:
    with pytest.raises(PayloadTooLarge):
        read_ask(b" " * 5000, SETTINGS)
    for name in ("messages", "input"):
        with pytest.raises(InvalidInput, match="at most 3"):
            ask(**{name: [{}] * 4})
    with pytest.raises(InvalidInput, match="at most 5000"):
        ask(max_tokens=1251, n=4)


@given(st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode()))
def test_no_body_breaks_it(body: bytes) -> None:
    with contextlib.suppress(InvalidInput, PayloadTooLarge):
        read_ask(body, SETTINGS)
    read_usage(body)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[" * 3000,
        b'{"n": NaN}',
        # Python reads what follows: as a request for nothing it would pass every limit.
        b'{"messages": [], "best_of": 1e999}',
        b'{"messages": [], "stream_options": {"include_usage": true, "x": -1e999}}',
        b'{"messages": [], "max_output_tokens": "\\ud800"}',
        '{"messages": []}'.encode("utf-16"),
    ],
)
def test_what_cannot_be_read_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidInput):
        read_ask(body, SETTINGS)


@pytest.mark.parametrize("beside", [{"input": 3}, {"input": {}}, {"messages": 3, "input": [{}] * 4}])
def test_odd_field_hides_no_long_list(beside: dict[str, object]) -> None:
    with pytest.raises(InvalidInput, match="at most 3"):
        ask(**{"messages": [{}] * 4, **beside})


def test_tokens_stay_a_number_that_every_ledger_can_count() -> None:
    generous = SETTINGS.model_copy(update={"max_new_tokens": None})
    asked = read_ask(b'{"n": 1e308, "max_tokens": 1e18, "prompt": ["", ""]}', generous)
    assert asked.answer == 2**50


@pytest.mark.parametrize(
    ("answer", "usage"),
    [
        ({"usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}}, Usage(3, 4, 7)),
        ({"usage": {"prompt_tokens": 3, "completion_tokens": 4}}, Usage(3, 4, 7)),
        ({"usage": {"prompt_tokens": 3, "total_tokens": 3}}, Usage(3, 0, 3)),
        ({"usage": {"input_tokens": 3, "output_tokens": 4}}, Usage(3, 4, 7)),
        (
            {"type": "response.completed", "response": {"usage": {"input_tokens": 3, "output_tokens": 4}}},
            Usage(3, 4, 7),
        ),
        ({"usage": None}, None),
        ({"choices": []}, None),
    ],
)
def test_usage(answer: dict[str, Any], usage: Usage | None) -> None:
    assert read_usage(json.dumps(answer).encode()) == usage


@given(st.dictionaries(st.text(), JSON, max_size=5))
def test_usage_is_asked_for_and_all_else_stays_as_it_was(fields: dict[str, Any]) -> None:
    body = json.dumps(fields).encode()
    asked = json.loads(with_usage(body))
    options = asked.pop("stream_options")
    given = fields.pop("stream_options", {})
    assert options == {**(given if isinstance(given, dict) else {}), "include_usage": True}
    assert asked == fields


def test_numbers_keep_the_way_they_are_written() -> None:
    assert b'"temperature":0.70' in with_usage(b'{"stream": true, "temperature":0.70}')


@pytest.mark.parametrize("options", [7, "yes", [{}]])
def test_options_that_cannot_be_read_are_left_for_vllm_to_refuse(options: Any) -> None:
    body = json.dumps({"stream": True, "stream_options": options}).encode()
    assert with_usage(body) == body
    assert with_usage(b'{"stream": true, "\xff": 1}') == b'{"stream": true, "\xff": 1}'


def test_usage_in_every_event_does_not_begin_because_tandem_asks_for_it_at_the_end() -> None:
    body = json.dumps({"stream": True, "stream_options": {"continuous_usage_stats": True}}).encode()
    assert json.loads(with_usage(body))["stream_options"] == {"include_usage": True}
