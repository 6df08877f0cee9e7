"""Writes docs/configuration.md from the settings themselves: `python -m scripts.document_settings` (`make docs`)."""

from __future__ import annotations

import json
import types
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin

import annotated_types
from pydantic import BaseModel, SecretStr
from pydantic_core import PydanticUndefined

from services.settings.tree import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic.fields import FieldInfo

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "configuration.md"

_INTRODUCTION = """\
# Configuration

Every setting of Tandem. This page is written by `make docs` from `services/settings/`, and a test keeps the two equal.

A value comes from the environment, else from the YAML file, else from the default below. In the environment, `__`
stands between the levels and lists and mappings are JSON; in the file, sections are mappings:

```bash
TANDEM_LLM__MODEL=/models/my-llm TANDEM_LLM__MAX_MODEL_LEN=4096 make serve
```

```yaml
# tandem.yaml, in the project's folder or where TANDEM_CONFIG says
llm:
  model: /models/my-llm
  max_model_len: 4096
```

A setting that does not exist, or a value out of its range, stops `make serve` with a sentence that names it.
"""

_NAMES = {bool: "true or false", int: "integer", float: "number", str: "text", Path: "path", SecretStr: "text"}


def page() -> str:
    """The whole page, as Markdown."""
    top = {name: field for name, field in Settings.model_fields.items() if _section(field) is None}
    parts = [_INTRODUCTION, "## General\n", _table(top, "TANDEM_")]
    for name, field in Settings.model_fields.items():
        section = _section(field)
        if section is not None:
            parts += [
                f"## `{name}`\n",
                f"{_summary(section)}\n",
                _table(section.model_fields, f"TANDEM_{name.upper()}__"),
            ]
            for inner in _lists_of_models(section):
                parts += [
                    f"### One of `{name}.{inner[0]}`\n",
                    f"{_summary(inner[1])}\n",
                    _table(inner[1].model_fields, ""),
                ]
    return "\n".join(parts)


def _table(fields: dict[str, FieldInfo], prefix: str) -> str:
    rows = ["| setting | type | default | meaning |", "|---|---|---|---|"]
    for name, field in fields.items():
        shown = f"`{prefix}{name.upper()}`" if prefix else f"`{name}`"
        cells = [shown, _kind(field), _default(field), field.description or ""]
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(rows) + "\n"


def _kind(field: FieldInfo) -> str:
    limits = [text for constraint in field.metadata for text in _limits(constraint)]
    return ", ".join([_type(field.annotation), *limits])


def _type(annotation: Any) -> str:
    """A type in words: `tuple[str, ...]` is "list of text", a Literal its values."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return " or ".join(f"`{value}`" for value in arguments)
    if origin in {Union, types.UnionType}:
        return " or ".join(_type(argument) for argument in arguments if argument is not type(None))
    if origin in {tuple, list, frozenset, set}:
        return f"list of {_type(arguments[0])}"
    if origin is dict or annotation is dict:
        return "mapping"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "mappings (below)"
    return _NAMES.get(annotation, getattr(annotation, "__name__", str(annotation)))


def _limits(constraint: Any) -> Iterator[str]:
    signs = {
        annotated_types.Ge: ("ge", "≥"),
        annotated_types.Gt: ("gt", ">"),
        annotated_types.Le: ("le", "≤"),
        annotated_types.Lt: ("lt", "<"),
    }
    for kind, (attribute, sign) in signs.items():
        if isinstance(constraint, kind):
            yield f"{sign} {getattr(constraint, attribute):g}"


def _default(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True)
    if value is PydanticUndefined:
        return "must be given"
    if value is None or value == () or (isinstance(value, BaseModel) and not value.model_dump(exclude_none=True)):
        return "none"
    if isinstance(value, str | Path):
        return f"`{str(value).removeprefix(f'{ROOT}/')}`"
    return f"`{json.dumps(value, default=str)}`"


def _section(field: FieldInfo) -> type[BaseModel] | None:
    annotation = field.annotation
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None


def _lists_of_models(section: type[BaseModel]) -> Iterator[tuple[str, type[BaseModel]]]:
    for name, field in section.model_fields.items():
        for argument in get_args(field.annotation):
            if isinstance(argument, type) and issubclass(argument, BaseModel):
                yield name, argument


def _summary(section: type[BaseModel]) -> str:
    return " ".join((section.__doc__ or "").split())


def main() -> None:
    """Writes the page."""
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page(), encoding="utf-8")
    print(f"Wrote {PAGE.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
