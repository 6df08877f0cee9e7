"""What vLLM says, as lines of our own log: one line a message, and none for what `EngineThread` reports itself."""

from __future__ import annotations

import logging
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

logger = logging.getLogger("tandem.llm")

_REPORTED_BY_US = ("EngineDeadError",)


class OneLine(logging.Handler):
    """Passes records on to our log, with an error's message in the place of its traceback."""

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        text = record.getMessage()
        if type(error).__name__ in _REPORTED_BY_US or text.startswith("[shutdown]"):
            return
        if error is not None:
            text = f"{text.rstrip('.: ')}: {type(error).__name__}: {error}"
        logger.log(record.levelno, "vLLM: %s", " ".join(text.split()))


def take_over(*, debug: bool) -> None:
    """Route vLLM's log into ours; with `debug`, leave it to vLLM in full. Call it before vLLM is imported."""
    if debug:
        os.environ.setdefault("VLLM_LOGGING_LEVEL", "DEBUG")
        return
    os.environ.setdefault("VLLM_CONFIGURE_LOGGING", "0")
    os.environ.setdefault("PYTHONWARNINGS", "ignore:resource_tracker:UserWarning,ignore::FutureWarning")
    theirs = logging.getLogger("vllm")
    theirs.propagate = False
    theirs.handlers = [OneLine()]
    theirs.setLevel(logging.WARNING)


@contextmanager
def only_errors() -> Iterator[None]:
    """Within it, warnings of vLLM and torch are dropped: while loading they warn of much that nobody can act on."""
    names = ("vllm", "torch._library.triton", "transformers", "huggingface_hub")
    before = {name: logging.getLogger(name).level for name in names}
    for name in names:
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        yield
    finally:
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)
