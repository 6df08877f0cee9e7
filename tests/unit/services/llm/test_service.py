from __future__ import annotations

from typing import Any

import pytest

from services.llm.device import Machine
from services.llm.service import resources
from services.settings.llm import LLMSettings

NOTHING = Machine(None, 0)
CPU = Machine("cpu", 0)
GPU = Machine("gpu", 2)


@pytest.mark.parametrize(
    ("fields", "machine", "asked"),
    [
        ({}, GPU, {"resources": {"gpu": 1}}),
        ({"tensor_parallel_size": 2}, GPU, {"resources": {"gpu": 2}}),
        ({}, CPU, {}),
        ({}, NOTHING, {}),
        ({"device": "gpu"}, CPU, {}),
    ],
)
def test_gpus_are_asked_for_where_they_are_used(fields: Any, machine: Machine, asked: dict[str, Any]) -> None:
    assert resources(LLMSettings(**fields), machine) == asked
