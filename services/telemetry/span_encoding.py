"""Spans as OTLP's messages (https://opentelemetry.io/docs/specs/otlp/, opentelemetry/proto/trace/v1/trace.proto).

The same as OpenTelemetry's SDK sends, in a fraction of its time: what comes again and again, as the name of a model or of the process
that speaks, is encoded once. Parts of a message that are encoded one by one make the whole when they are put one after the other
(https://protobuf.dev/programming-guides/encoding/#last-one-wins).
"""

from __future__ import annotations

import logging
import struct
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, InstrumentationScope, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, SpanFlags, Status
from opentelemetry.sdk.trace import SpanLimits
from opentelemetry.trace import SpanKind

from services.telemetry.spans import REQUEST_ID

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from opentelemetry.util.types import AttributeValue

    from services.telemetry.spans import TraceSpan

logger = logging.getLogger("tandem.tracing")

_KEPT = 1024
"""Attributes that are remembered."""
_LONGEST_KEPT = 64
"""Characters of a text that is remembered."""
_LARGEST = 4 * 2**20
"""Bytes of a request, which collectors take; they refuse some twenty million. One span alone may have more."""
_KINDS = {
    SpanKind.INTERNAL: Span.SPAN_KIND_INTERNAL,
    SpanKind.SERVER: Span.SPAN_KIND_SERVER,
    SpanKind.CLIENT: Span.SPAN_KIND_CLIENT,
    SpanKind.PRODUCER: Span.SPAN_KIND_PRODUCER,
    SpanKind.CONSUMER: Span.SPAN_KIND_CONSUMER,
}
_KNOWS_REMOTE = SpanFlags.SPAN_FLAGS_CONTEXT_HAS_IS_REMOTE_MASK
_IS_REMOTE = _KNOWS_REMOTE | SpanFlags.SPAN_FLAGS_CONTEXT_IS_REMOTE_MASK
_MOST_LINKS = 1024

# Spans that say one thing, and what stands before one in those that say more: number and type of the field, and the length.
_HERE = Span(flags=_KNOWS_REMOTE).SerializeToString()
_REMOTE = Span(flags=_IS_REMOTE).SerializeToString()
_FAILED = Span(status=Status(code=Status.STATUS_CODE_ERROR)).SerializeToString()
_UNSET = Span(status=Status()).SerializeToString()
_REQUEST_ID = KeyValue(key=REQUEST_ID).SerializeToString()
_TRACE_ID = Span(trace_id=bytes(16)).SerializeToString()[:2]
_SPAN_ID = Span(span_id=bytes(8)).SerializeToString()[:2]
_PARENT = Span(parent_span_id=bytes(8)).SerializeToString()[:2]
_BEGAN = Span(start_time_unix_nano=1).SerializeToString()[:1]
_ENDED = Span(end_time_unix_nano=1).SerializeToString()[:1]
_IDS = struct.Struct("<2s16s2s8s")
_TIMES = struct.Struct("<cQcQ")
_MESSAGE = 2
"""The type of a field that is a message, or a text."""
_SEVEN_BITS = 0x7F
"""The most of a number that a byte of a varint holds."""


class SpanEncoder:
    """Encodes the spans of one process."""

    def __init__(self, resource: Mapping[str, AttributeValue], scope: str, version: str) -> None:
        """`resource` is what the process says of itself; `scope` and its `version` make the spans."""
        pairs = [pair for name, value in resource.items() if (pair := _pair(name, value)) is not None]
        self._resource = ResourceSpans(resource=Resource(attributes=pairs)).SerializeToString()
        self._scope = ScopeSpans(scope=InstrumentationScope(name=scope, version=version)).SerializeToString()
        limits = SpanLimits()  # those of OpenTelemetry's environment variables, where there are any
        self._most, self._longest = limits.max_span_attributes, limits.max_span_attribute_length

    def requests(self, spans: Iterable[TraceSpan]) -> Iterator[bytes]:
        """As few of ExportTraceServiceRequest as take them all."""
        parts, size = [self._scope], 0
        for one in spans:
            try:
                encoded = _field(ScopeSpans.SPANS_FIELD_NUMBER, self.span(one))
            except (ValueError, struct.error):
                logger.exception("A span cannot be encoded and is lost")
                continue
            if size and size + len(encoded) > _LARGEST:
                yield self._request(parts)
                parts, size = [self._scope], 0
            parts.append(encoded)
            size += len(encoded)
        if size:
            yield self._request(parts)

    def _request(self, parts: Sequence[bytes]) -> bytes:
        together = _field(ResourceSpans.SCOPE_SPANS_FIELD_NUMBER, b"".join(parts))
        return _field(ExportTraceServiceRequest.RESOURCE_SPANS_FIELD_NUMBER, self._resource + together)

    def span(self, span: TraceSpan) -> bytes:
        """A Span, of one that has ended."""
        attributes = span.attributes if span.describe is None else {**span.describe(), **span.attributes}
        said: Mapping[str, AttributeValue] = attributes
        if self._longest is not None or (self._most is not None and len(said) > self._most):
            said = dict(BoundedAttributes(self._most, said, max_value_len=self._longest))
        parts = [
            _IDS.pack(_TRACE_ID, span.trace_id.to_bytes(16), _SPAN_ID, span.span_id.to_bytes(8)),
            (_known_name if _is_kept(span.name) else _named)(span.name, span.kind),
            _TIMES.pack(_BEGAN, span.began, _ENDED, span.ended),
            _FAILED if span.failed else _UNSET,
            *[_said(name, value) for name, value in said.items()],
        ]
        if span.parent_id:
            parts += (_PARENT, span.parent_id.to_bytes(8))
        parts.append(_REMOTE if span.has_remote_parent else _HERE)
        if span.events or span.links or span.trace_state or said is not attributes:
            rest = Span(
                trace_state=span.trace_state,
                events=[Span.Event(name=name, time_unix_nano=at) for name, at in span.events],
                links=[_link(one) for one in span.links[:_MOST_LINKS]],
                dropped_links_count=len(span.links[_MOST_LINKS:]),
                dropped_attributes_count=len(attributes) - len(said),
            )
            parts.append(rest.SerializeToString())
        return b"".join(parts)


def _link(to: TraceSpan) -> Span.Link:
    return Span.Link(trace_id=to.trace_id.to_bytes(16), span_id=to.span_id.to_bytes(8), flags=_KNOWS_REMOTE)


def _named(name: str, kind: SpanKind) -> bytes:
    """A Span that says nothing but this."""
    return Span(name=name, kind=_KINDS[kind]).SerializeToString()


_known_name = lru_cache(_KEPT)(_named)


def _pair(name: str, value: AttributeValue) -> KeyValue | None:
    """None where OTLP cannot hold it: an integer of over 64 bits, half a surrogate pair."""
    try:
        return KeyValue(key=name, value=_value(value))
    except (ValueError, TypeError):
        return None


def _attribute(name: str, value: AttributeValue) -> bytes:
    """A Span that says nothing else, and not even this where OTLP cannot hold it."""
    pair = _pair(name, value)
    return Span(attributes=[pair]).SerializeToString() if pair is not None else b""


_known = lru_cache(_KEPT, typed=True)(_attribute)


def _said(name: str, value: AttributeValue) -> bytes:
    if name == REQUEST_ID and isinstance(value, str) and value.isascii():
        return _request_id(value)
    return _known(name, value) if _is_kept(value) else _attribute(name, value)


def _request_id(value: str) -> bytes:
    """As `_attribute`, of what is hardly ever said again: without the objects that a message is made of."""
    told = _field(KeyValue.VALUE_FIELD_NUMBER, _field(AnyValue.STRING_VALUE_FIELD_NUMBER, value.encode()))
    return _field(Span.ATTRIBUTES_FIELD_NUMBER, _REQUEST_ID + told)


def _is_kept(value: AttributeValue) -> bool:
    return len(value) <= _LONGEST_KEPT if isinstance(value, str) else isinstance(value, int)


def _value(value: AttributeValue) -> AnyValue:
    if isinstance(value, str):
        return AnyValue(string_value=value)
    if isinstance(value, bool):
        return AnyValue(bool_value=value)
    if isinstance(value, int):
        return AnyValue(int_value=value)
    if isinstance(value, float):
        return AnyValue(double_value=value)
    if isinstance(value, Sequence):
        return AnyValue(array_value=ArrayValue(values=[_value(one) for one in value]))
    raise TypeError(f"A span cannot say a {type(value).__name__}.")


def _field(number: int, content: bytes) -> bytes:
    """A field that is a message: its number and type, the length as a varint, and the message."""
    left = len(content)
    if left <= _SEVEN_BITS:
        return bytes((number << 3 | _MESSAGE, left)) + content
    head = bytearray((number << 3 | _MESSAGE,))
    while left > _SEVEN_BITS:
        head.append(left & 0x7F | 0x80)
        left >>= 7
    head.append(left)
    return bytes(head) + content
