"""Why the language model failed, as one sentence for an operator, from vLLM's exceptions and its processes' output."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from models.llm.checks import advice
from models.llm.contract import EngineConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from models.llm.contract import Device

_LONGEST = 300

_LOG_PREFIX = re.compile(r"^\([\w ]+ pid=\d+\) ?(?:[A-Z]+ \d\d-\d\d \d\d:\d\d:\d\d \[[^\]]*\] ?)?")
_RAISED = re.compile(r"^(?:\w+\.)*(\w*(?:Error|Exception|Interrupt|Exit|Failure)): (.+)")
_NOT_THE_CAUSE = ("see root cause", "see stack trace", "initialization failed", "engine core proc", "cancelled")
_SAYS_NOTHING = ("ValueError: ", "RuntimeError: ", "OSError: ", "KeyError: ", "AssertionError: ", "Exception: ")


def root_cause(lines: Iterable[str]) -> str | None:
    """The first exception in a log that does not merely point to another, as `Type: message`."""
    for line in lines:
        raised = _RAISED.match(_LOG_PREFIX.sub("", line))
        if raised and not any(phrase in line.lower() for phrase in _NOT_THE_CAUSE):
            return f"{raised[1]}: {raised[2].strip()}"
    return None


def sentence(error: BaseException | None, cause: str | None, device: Device | None) -> str:
    """What went wrong, without vLLM's wrapping, and the setting to change where that is known.

    `error` is what was raised here, `cause` what the engine's process raised.
    """
    if isinstance(error, EngineConfigError):
        return str(error)
    text = cause or _said(error)
    if "Value error, " in text:  # pydantic's wrapping of a check in vLLM's configuration
        text = text.partition("Value error, ")[2].partition(" [type=")[0]
    for prefix in _SAYS_NOTHING:
        text = text.removeprefix(prefix)
    text = " ".join(text.split()).strip("\"' ")
    hint = advice(text, device)
    shown = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
    return f"{shown.rstrip('.!')}. {hint}".strip() if hint else shown


def _said(error: BaseException | None) -> str:
    if error is None or "engine core initialization failed" in str(error).lower():
        return "Its process was killed from outside, as the system does when memory runs out"
    return f"{type(error).__name__}: {error}"
