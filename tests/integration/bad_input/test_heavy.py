"""Bodies that look cheap and are not, and many at once: what reading them took is given back."""

from __future__ import annotations

import gc
import json
import tracemalloc
from typing import TYPE_CHECKING

import pytest

from tests.fake_llm import LLM_NAME
from tests.integration.bad_input.lab import FEATURES, GOOD, MAX_BODY, REFUSALS, Lab, check

if TYPE_CHECKING:
    from collections.abc import Callable

HEAVY: dict[str, Callable[[], bytes]] = {
    "nesting": lambda: b'{"model":"flowers","rows":' + b"[" * 60_000,
    "closed nesting": lambda: b'{"model":"flowers","rows":' + b"[" * 60_000 + b"]" * 60_000 + b"}",
    "objects": lambda: b'{"model":"flowers","rows":' + b'{"a":' * 20_000 + b"1" + b"}" * 20_001,
    "many rows": lambda: b'{"model":"flowers","rows":[' + b",".join([b"{}"] * 40_000) + b"]}",
    "many keys": lambda: json.dumps({"model": "flowers", **{f"k{number}": 1 for number in range(10_000)}}).encode(),
    "one key many times": lambda: b'{"model":"flowers"' + b',"rows":[]' * 10_000 + b"}",
    "long number": lambda: b'{"model":"flowers","rows":[{"height":' + b"9" * 120_000 + b"}]}",
    "long fraction": lambda: b'{"model":"flowers","rows":[{"height":0.' + b"1" * 120_000 + b"}]}",
    "long exponent": lambda: b'{"model":"flowers","rows":[{"height":1e' + b"9" * 120_000 + b"}]}",
    "NaN far inside": lambda: b'{"model":"flowers","rows":' + b"[" * 900 + b"NaN" + b"]" * 900 + b"}",
    "long name": lambda: b'{"model":"' + b"x" * 120_000 + b'"}',
    "escapes": lambda: b'{"model":"' + b"\\u0041" * 20_000 + b'"}',
    "surrogates": lambda: b'{"model":"' + b"\\ud800" * 20_000 + b'"}',
    "huge shape": lambda: json.dumps({"inputs": [{**FEATURES, "shape": [2**62, 2**62]}]}).encode(),
    "dimensions": lambda: json.dumps({"inputs": [{**FEATURES, "shape": [1] * 40_000}]}).encode(),
    "huge dimensions": lambda: json.dumps({"inputs": [{**FEATURES, "shape": [2**60] * 5_000}]}).encode(),
    "many inputs": lambda: json.dumps(
        {"inputs": [{**FEATURES, "name": str(number)} for number in range(1_200)]}
    ).encode(),
    "nested data": lambda: b'{"inputs":[{"name":"features","datatype":"FP32","shape":[1,3],"data":' + b"[" * 60_000,
    "nested parameters": lambda: b'{"inputs":[],"parameters":' + b'{"a":' * 20_000 + b"1" + b"}" * 20_001,
    "many outputs": lambda: json.dumps({"inputs": [FEATURES], "outputs": [{"name": "label"}] * 5_000}).encode(),
    "many messages": lambda: json.dumps({"model": LLM_NAME, "messages": [{}] * 20_000}).encode(),
    "prompts": lambda: json.dumps({"model": LLM_NAME, "prompt": [""] * 20_000, "n": 10**18, "best_of": 1e308}).encode(),
}


@pytest.mark.parametrize("name", HEAVY)
def test_heavy_bodies_cost_little(lab: Lab, name: str) -> None:
    """Each is refused, or judged by vLLM, and what reading it took is given back and no multiple of its size."""
    body = HEAVY[name]()
    assert len(body) <= MAX_BODY
    for path in GOOD:
        tracemalloc.start()
        answer = lab.run(lab.post(path, body))
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        check(path, answer)
        assert path.startswith(("/v1", "/tok")) or answer.status_code in {200, *REFUSALS}
        assert peak < 60 * MAX_BODY, path
        assert len(answer.content) < 2 * MAX_BODY


def test_thousands_of_bad_requests_leave_nothing(lab: Lab) -> None:
    body = json.dumps({"model": "flowers", "rows": [{"height": "x" * 1000}]}).encode()

    async def many(count: int) -> None:
        for number in range(count):
            path = ("/classify", "/v1/chat/completions", f"/v2/models/{number}/infer", f"/{number}")[number % 4]
            assert (await lab.post(path, body)).status_code in REFUSALS

    lab.run(many(100))
    gc.collect()
    tracemalloc.start()
    lab.run(many(800))
    gc.collect()
    left, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert left < 200_000
