"""Bodies of Tandem's own API, checked while they are decoded.

Each model gets a struct of its features with their hard ranges, so that msgspec checks names, types and ranges in C while
it reads the JSON; only a body that fails is looked at again, to say what is wrong in the user's words.
"""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING, Annotated, Any, Generic, TypeVar, Union

import msgspec

from models.spec import UNBOUNDED
from services.errors import InvalidInput, ModelNotFound, ServingError
from services.gateway.catalogue import not_served

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from models.spec import Feature, ModelSpec
    from services.gateway.backends import Row

_PATH = re.compile(r"^(?P<problem>.*?) - at `\$\.?(?P<path>.*)`$", re.DOTALL)
_FIELD = re.compile(r"field `(?P<name>[^`]*)`")
_KINDS = {
    "object": "an object",
    "array": "an array",
    "float": "a number",
    "int": "an integer",
    "str": "a string",
    "bool": "a boolean",
}

_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What msgspec raises on bytes that are no JSON."""

Body = TypeVar("Body")


class RowsRequest(msgspec.Struct):
    """What every decoded body of `POST /classify` offers; the real type is made for each model."""

    rows: list[Any]
    version: str | None = None


class RowRequest(msgspec.Struct):
    """What every decoded body of `POST /explain` offers."""

    row: Any
    version: str | None = None


class RequestDecoder(Generic[Body]):
    """Decodes one kind of body for all models at once: the field `model` picks the struct."""

    def __init__(
        self, specs: Iterable[ModelSpec], field: str, max_rows: int | None, others: Iterable[ModelSpec] = ()
    ) -> None:
        """`field` holds a list of at most `max_rows` rows, or one row when that is None.

        A body that names no version means one of `specs`; `others` are versions that only a body naming them gets.
        """
        self._specs = {spec.name: spec for spec in specs}
        classifiers = [spec for spec in self._specs.values() if spec.is_classifier]
        bodies = tuple(_body_type(spec, field, max_rows) for spec in classifiers)
        self._decode = msgspec.json.Decoder(Union[(*bodies, _NoModel)]).decode
        self._served = dict(zip(bodies, classifiers, strict=True))
        self._others: dict[tuple[str, str], RequestDecoder[Body]] = {
            (spec.name, spec.version): RequestDecoder((spec,), field, max_rows) for spec in others if spec.is_classifier
        }

    def __call__(self, data: bytes) -> tuple[ModelSpec, Body]:
        """The model that is asked for, and its body. Raises InvalidInput or ModelNotFound."""
        try:
            body = self._decode(data)
        except msgspec.ValidationError as error:
            other = self._others and self._other(data)
            if other:
                return other(data)
            raise self._explained(error, data) from None
        except _UNREADABLE as error:
            raise _malformed(data, error) from None
        spec = self._served.get(type(body))
        if spec is None:
            raise self._wrong_model(data)
        if body.version is not None and body.version != spec.version:
            other = self._others.get((spec.name, body.version))
            if other:
                return other(data)
            raise not_served(spec.name, body.version, spec.version)
        return spec, body

    def _other(self, data: bytes) -> RequestDecoder[Body] | None:
        asked = _peek(data)
        named = isinstance(asked.model, str) and isinstance(asked.version, str)
        return self._others.get((asked.model, asked.version)) if named else None

    def _explained(self, error: msgspec.ValidationError, data: bytes) -> ServingError:
        match = _PATH.match(str(error))
        problem, path = (match["problem"], match["path"]) if match else (str(error), "")
        field = _FIELD.search(problem)
        if field:
            path = f"{path}.{field['name']}" if path else field["name"]
        if path == "model":
            return self._wrong_model(data)
        feature = self._feature(data, path)
        if problem.startswith("Object missing"):
            problem = "is required"
        elif problem.startswith("Object contains unknown"):
            problem = "is not a field of this request" if "." not in path else "is not a feature of this model"
        elif problem == "Number out of range":
            problem = "must be a finite number"
        elif feature and ("<=" in problem or ">=" in problem):
            problem = (
                "is too large a number"
                if feature.high >= UNBOUNDED
                else (
                    f"must be between {feature.low:g} and {feature.high:g}{f' {feature.unit}' if feature.unit else ''}"
                )
            )
        else:
            problem = _in_words(problem)
        return InvalidInput(f"{path}: {problem}." if path else f"The body: {problem}.", param=path or None)

    def _wrong_model(self, data: bytes) -> ServingError:
        model = _peek(data).model
        served = ", ".join(sorted(spec.name for spec in self._served.values())) or "none"
        if model is None:
            return InvalidInput(f"model: is required. Served: {served}.", param="model")
        if not isinstance(model, str):
            return InvalidInput("model: must be a string.", param="model")
        if model in self._specs:
            return InvalidInput(
                f"{model} is no classifier: send its tensors to /v2/models/{model}/infer. Classifiers: {served}.",
                param="model",
            )
        return ModelNotFound(f"There is no model {model!r}. Served: {served}.", param="model")

    def _feature(self, data: bytes, path: str) -> Feature | None:
        _, _, name = path.partition(".")
        model = _peek(data).model if name else None
        spec = self._specs.get(model) if isinstance(model, str) else None
        return next((feature for feature in spec.features if feature.name == name), None) if spec else None


class _NoModel(msgspec.Struct, tag_field="model", tag=""):
    """Stands beside the models' structs, for msgspec asks for the tag only when it has a choice."""


class _Peek(msgspec.Struct):
    model: Any = None
    version: Any = None


def _peek(data: bytes) -> _Peek:
    """What the fields `model` and `version` hold. Raises InvalidInput when the body breaks off behind the error that led here."""
    try:
        return msgspec.json.decode(data, type=_Peek)
    except _UNREADABLE as error:
        raise _malformed(data, error) from None


def _malformed(data: bytes, error: Exception) -> InvalidInput:
    """Many clients write NaN and Infinity, which JSON does not have: those get their field's name."""
    if isinstance(error, RecursionError):
        return InvalidInput("The body is nested too deeply.")
    try:
        path = _not_finite(json.loads(data), "")
    except (ValueError, RecursionError):
        path = None
    if path is None:
        return InvalidInput(f"The body is not valid JSON: {error}.")
    return InvalidInput(f"{path}: must be a finite number.", param=path)


def _not_finite(value: Any, path: str) -> str | None:
    if isinstance(value, float):
        return None if math.isfinite(value) else path
    children: Iterable[tuple[str, Any]] = ()
    if isinstance(value, dict):
        children = ((f"{path}.{key}" if path else str(key), child) for key, child in value.items())
    elif isinstance(value, list):
        children = ((f"{path}[{index}]", child) for index, child in enumerate(value))
    return next((found for where, child in children if (found := _not_finite(child, where)) is not None), None)


def _in_words(problem: str) -> str:
    expected = re.match(r"Expected `(\w+)[^`]*`(.*)", problem)
    if expected is None:
        return problem[:1].lower() + problem[1:]
    kind = _KINDS.get(expected[1], expected[1])
    got = re.search(r"got `(\w+)`", expected[2])
    length = re.search(r"of length <= (\d+)", expected[2])
    if length:
        return f"holds more than {length[1]} entries"
    return f"must be {kind}" + (f", not {_KINDS.get(got[1], got[1])}" if got else "")


def _body_type(spec: ModelSpec, field: str, max_rows: int | None) -> type[msgspec.Struct]:
    row = msgspec.defstruct(
        f"{spec.name}_row",
        [
            # A feature may be called anything; the fields of a struct may not.
            (f"f{index}", Annotated[float, msgspec.Meta(ge=one.low, le=one.high)], msgspec.field(name=one.name))
            for index, one in enumerate(spec.features)
        ],
        forbid_unknown_fields=True,
        frozen=True,
        gc=False,
    )
    value = row if max_rows is None else Annotated[list[row], msgspec.Meta(max_length=max_rows)]  # type: ignore[valid-type]
    return msgspec.defstruct(
        f"{spec.name}_{field}",
        [(field, value), ("version", str | None, None)],
        tag_field="model",
        tag=spec.name,
        forbid_unknown_fields=True,
        gc=False,
    )


as_row: Callable[[msgspec.Struct], Row] = msgspec.structs.astuple
"""A decoded row as a tuple, in the order of `ModelSpec.features`."""
