"""Which metrics and labels a PromQL expression names, for tests that hold queries to what there is."""

from __future__ import annotations

import re
from dataclasses import dataclass

_TOKEN = re.compile(
    r"""(?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')"""
    r"""|(?P<range>\[[^\]]*\])"""
    r"""|(?P<number>\d[\w.]*)"""
    r"""|(?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)"""
    r"""|(?P<sign>=~|!~|!=|==|<=|>=|[^\s\w])"""
)
_OVER_LABELS = frozenset({"by", "without", "on", "ignoring", "group_left", "group_right"})
_WORDS = frozenset({"and", "or", "unless", "bool", "offset", "atan2", "Inf", "NaN", *_OVER_LABELS})


@dataclass(frozen=True)
class Named:
    """What one expression names."""

    metrics: dict[str, frozenset[str]]
    """Each metric's name, with the labels that its selectors match."""
    grouped: frozenset[str]
    """Labels that are grouped by, or joined on."""


def named(expression: str) -> Named:
    """What `expression` names. Strings in it are skipped, so what `label_replace` does is not seen."""
    tokens = [(match.lastgroup, match.group()) for match in _TOKEN.finditer(expression)]
    metrics: dict[str, set[str]] = {}
    grouped: set[str] = set()
    at = 0
    while at < len(tokens):
        kind, text = tokens[at]
        following = tokens[at + 1][1] if at + 1 < len(tokens) else ""
        if kind == "name" and text in _OVER_LABELS and following == "(":
            labels, at = _until(tokens, at + 2, ")")
            grouped |= labels
        elif kind == "name" and (following == "(" or following in _OVER_LABELS):
            at += 1  # a function
        elif kind == "name" and text not in _WORDS:
            labels, at = _until(tokens, at + 2, "}") if following == "{" else (set(), at + 1)
            metrics.setdefault(text, set()).update(labels)
        else:
            at += 1
    return Named({name: frozenset(labels) for name, labels in metrics.items()}, frozenset(grouped))


def _until(tokens: list[tuple[str | None, str]], at: int, end: str) -> tuple[set[str], int]:
    """The names from `at` up to the sign `end`, and the place behind it."""
    names: set[str] = set()
    while tokens[at][1] != end:
        if tokens[at][0] == "name":
            names.add(tokens[at][1])
        at += 1
    return names, at + 1
