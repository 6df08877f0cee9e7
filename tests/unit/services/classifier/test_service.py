from __future__ import annotations

from typing import Any, cast

import numpy as np
import pytest

from services.classifier.service import Classifier, _batchable
from services.settings.tree import load_settings
from tests.fakes import make_spec


def test_every_model_is_an_adaptively_batched_api_of_its_own() -> None:
    api = _batchable(make_spec())
    assert api.name == "flowers"
    assert api.batchable is True
    assert api.batch_dim == (0, 0)
    assert api.max_batch_size == load_settings().classifier.max_batch_size
    assert list(api.input_spec.model_fields) == ["rows"]
    assert _batchable(make_spec("trees")) is not api


def test_rows_of_another_width_do_not_reach_the_model() -> None:
    spec = _batchable(make_spec()).input_spec
    rows = spec(rows=[[1, 2, 3]]).rows
    assert rows.shape == (1, 3)
    assert rows.dtype == np.float32
    with pytest.raises(ValueError, match="shape"):
        spec(rows=[[1, 2]])


def test_sessions_of_the_gateway_are_not_cut() -> None:
    connection = cast("Any", Classifier).config["runner_connection"]
    assert connection["max_requests"] >= 10**9
    assert connection["max_age"] >= 10**9
