from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.errors import Unavailable
from services.gateway.sse import text_of


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (b'data: {"choices": [{"delta": {"content": "gr\xc3\xbcn"}}]}\n', "gr\u00fcn"),
        (b'data: {"choices": [{"delta": {"content": ""}}]}\n', ""),
        (b'data: {"choices": [{"delta": {"role": "assistant"}}]}\n', ""),
        (b'data: {"choices": [{"delta": {"content": null}}]}\r\n', ""),
        (b'data: {"choices": [], "usage": {}}\n', ""),
        (b'data: {"usage": {}}\n', ""),
        (b"data: [DONE]\n", ""),
        (b": a comment\n", ""),
        (b"event: done\n", ""),
        (b"\n", ""),
        (b"", ""),
    ],
)
def test_text_of_a_line(line: bytes, text: str) -> None:
    assert text_of(line) == text


@pytest.mark.parametrize(
    "line",
    [
        b'data: {"error": {"message": "secret", "code": 500}}\n',
        b'data: {"choices": [{"del\n',
        b'data: {"choices": [{"text": "no delta"}]}\n',
        b'data: {"choices": 3}\n',
        b'data: {"choices": "\xff"}\n',
        b"data: {" + b'"x": [' * 50_000,
    ],
)
def test_line_that_reports_a_failure_or_cannot_be_read(line: bytes) -> None:
    with pytest.raises(Unavailable) as caught:
        text_of(line)
    assert "secret" not in caught.value.message


@given(st.binary(max_size=40))
def test_arbitrary_lines_are_text_or_unavailable(tail: bytes) -> None:
    try:
        assert isinstance(text_of(b"data: {" + tail), str)
    except Unavailable:
        return
