from __future__ import annotations

import pytest

from models.llm.contract import EngineConfigError
from services.llm.failure import root_cause, sentence

WORKER_LOG = """\
INFO something
(EngineCore pid=12) ERROR 11-20 17:25:51 [core.py:1234] EngineCore failed to start.
(EngineCore pid=12) ERROR 11-20 17:25:51 [core.py:1234] Traceback (most recent call last):
(EngineCore pid=12) ERROR 11-20 17:25:51 [core.py:1234]   File "core.py", line 1, in init
(EngineCore pid=12) ERROR 11-20 17:25:51 [core.py:1234]     raise ValueError(
(EngineCore pid=12) ERROR 11-20 17:25:51 [core.py:1234] ValueError: too little memory
"""
CHAINED_LOG = """\
Traceback (most recent call last):
RuntimeError: WorkerProc initialization failed due to an exception in a background process. See stack trace for root cause.
torch.OutOfMemoryError: CUDA out of memory.

The above exception was the direct cause of the following exception:
RuntimeError: something later
"""


@pytest.mark.parametrize(
    ("log", "cause"),
    [
        (WORKER_LOG, "ValueError: too little memory"),
        (CHAINED_LOG, "OutOfMemoryError: CUDA out of memory."),
        ("all is well\n", None),
        ("", None),
    ],
)
def test_root_cause(log: str, cause: str | None) -> None:
    assert root_cause(log.splitlines(keepends=True)) == cause


PYDANTIC = """1 validation error for ModelConfig
  Value error, User-specified max_model_len (9) is greater than the derived max_model_len [type=value_error, input_value=1]
    For further information visit a page"""


@pytest.mark.parametrize(
    ("error", "cause", "said"),
    [
        (EngineConfigError("Set X.", setting="x"), "ValueError: other", "Set X."),
        (RuntimeError("Engine core initialization failed."), "KeyError: 'x'", "x"),
        (
            RuntimeError("Engine core initialization failed. See root cause above."),
            None,
            "Its process was killed from outside, as the system does when memory runs out",
        ),
        (None, None, "Its process was killed from outside, as the system does when memory runs out"),
        (
            ValueError(PYDANTIC),
            None,
            "User-specified max_model_len (9) is greater than the derived max_model_len. Change TANDEM_LLM__MAX_MODEL_LEN.",
        ),
        (TypeError("two\n   lines"), None, "TypeError: two lines"),
    ],
)
def test_sentence(error: BaseException | None, cause: str | None, said: str) -> None:
    assert sentence(error, cause, "cpu") == said


def test_a_long_story_is_cut_and_keeps_its_advice() -> None:
    told = sentence(ValueError("Unknown quantization method: " + "x" * 1000), None, "cpu")
    assert told.endswith("x. Change TANDEM_LLM__QUANTIZATION.")
    assert len(told) < 400
