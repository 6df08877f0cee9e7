"""Whatever HTTP body is sent, by any protocol: an answer in that protocol's shape, nobody else disturbed, and nothing left behind."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.integration.bad_input.lab import GOOD, Lab, at_rest, check, strict
from tests.integration.bad_input.strategies import binary_requests, bodies, examples


@pytest.mark.parametrize("path", GOOD)
def test_json_bodies(lab: Lab, path: str) -> None:
    @examples(40)
    @given(body=bodies(GOOD[path]))
    def ask(body: bytes) -> None:
        lab.stage.llm.asked.clear()
        check(path, lab.run(lab.with_neighbours(path, body)))
        for asked in lab.stage.llm.asked:
            sent = strict(asked.body)  # what is no JSON has gone no further than here
            assert asked.path.startswith("/v1/chat") or sent == strict(body)

    with at_rest(lab):
        ask()


@pytest.mark.parametrize("model", ["flowers", "doubler"])
def test_binary_bodies(lab: Lab, model: str) -> None:
    path = f"/v2/models/{model}/infer"

    @examples(60)
    @given(sent=binary_requests())
    def ask(sent: tuple[bytes, dict[str, str]]) -> None:
        check(path, lab.run(lab.with_neighbours(path, *sent)))

    with at_rest(lab):
        ask()


FLOATS = st.lists(st.tuples(*[st.floats(-(2.0**126), 2.0**126, width=32)] * 2), min_size=1, max_size=5)


def test_every_way_of_writing_a_tensor_says_the_same(lab: Lab) -> None:
    path = "/v2/models/doubler/infer"

    @examples(40)
    @given(rows=FLOATS)
    def ask(rows: list[tuple[float, float]]) -> None:
        array = np.array(rows, np.float32)
        described = {"name": "x", "datatype": "FP32", "shape": list(array.shape)}
        head = json.dumps({"inputs": [{**described, "parameters": {"binary_data_size": array.nbytes}}]}).encode()
        ways: list[tuple[bytes, dict[str, str]]] = [
            (json.dumps({"inputs": [{**described, "data": array.tolist()}]}).encode(), {}),
            (json.dumps({"inputs": [{**described, "data": array.ravel().tolist()}]}).encode(), {}),
            (head + array.tobytes(), {"inference-header-content-length": str(len(head))}),
        ]
        for body, headers in ways:
            answer = lab.run(lab.post(path, body, headers))
            given_back = np.array(answer.json()["outputs"][0]["data"], np.float32).reshape(array.shape)
            np.testing.assert_array_equal(given_back, array * 2)

    ask()
