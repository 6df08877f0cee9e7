"""What surrounds every gRPC call: its id, its telemetry, and the status that an error becomes."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass

from services.asgi import headers_in
from services.errors import DeadlineExceeded, InternalError, InvalidInput, ServingError
from services.gateway.control.work import NOBODY, Request, work_for
from services.gateway.head import Head, read_head
from services.gateway.request_ids import HEADER, RequestIds
from services.gateway.rpc.wire.stream import Method
from services.telemetry.access_log import AccessLine

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Mapping

    from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
    from google.protobuf.message import Message

    from services.gateway.control.passage import Passage
    from services.gateway.control.path import Control
    from services.gateway.rpc.wire.stream import Stream
    from services.telemetry.recorder import Telemetry

    Run = Callable[[Stream], Coroutine[Any, Any, None]]
    Work = Callable[[Any, "Call"], Any]

_OK = 200
_CLIENT_CLOSED_REQUEST = 499
_LONGEST_MESSAGE = 1000
"""It travels among the trailers, and clients refuse large ones."""
logger = logging.getLogger("tandem.gateway")


class Call:
    """One call, as the methods of a service see it."""

    __slots__ = ("_stream", "line")

    def __init__(self, stream: Stream, line: AccessLine) -> None:
        self._stream = stream
        self.line = line

    @property
    def seconds(self) -> float | None:
        """How long the caller still waits; None when it set no deadline."""
        return self._stream.seconds


class Calls:
    """Turns methods into what answers streams. In logs and metrics, a call's status is the HTTP status of its outcome."""

    def __init__(self, telemetry: Telemetry, control: Control) -> None:
        self._telemetry = telemetry
        self._control = control
        self._ids = RequestIds()

    def methods(self, service: ServiceDescriptor, works: Mapping[str, Work]) -> dict[bytes, Method]:
        """What serves `works`, methods of a service by name, by path.

        One takes the request (an iterator of them, where its requests stream) and a `Call`; it returns the response, or is an
        async generator of them where its responses stream. One that is not given answers UNIMPLEMENTED.
        """
        found = {}
        for name, work in works.items():
            route = f"/{service.full_name}/{name}"
            found[route.encode()] = self._method(route, service.methods_by_name[name], work)
        return found

    def _method(self, route: str, method: MethodDescriptor, work: Work) -> Method:
        takes_stream = bool(method.client_streaming)
        parse = _parser(GetMessageClass(method.input_type))
        written = GetMessageClass(method.output_type).SerializeToString
        read: Callable[[Stream], Any] = (
            (lambda stream: _parsed(stream.requests(), parse))
            if takes_stream
            else (lambda stream: parse(stream.request()))
        )
        make = self._streaming if method.server_streaming else self._unary
        return Method(make(route, read, work, written), takes_stream)

    def _unary(self, route: str, read: Callable[[Stream], Any], work: Work, written: Callable[[Any], bytes]) -> Run:
        async def run(stream: Stream) -> None:
            began, line, given = self._begin(route, stream)
            passage: Passage | None = None
            try:
                if self._control.concerns(_head_of(stream)):
                    passage = await self._enter(route, stream, line)
                answer = await work(read(stream), Call(stream, line))
                line.status = _OK
                stream.respond(written(answer), _trailers(line, passage, given=given))
            except BaseException as error:  # noqa: BLE001 - every way out has its status
                self._fail(stream, line, error)
            finally:
                if passage is not None:
                    passage.leave()
                self._telemetry.end(began, line)

        return run

    def _streaming(self, route: str, read: Callable[[Stream], Any], work: Work, written: Callable[[Any], bytes]) -> Run:
        async def run(stream: Stream) -> None:
            began, line, given = self._begin(route, stream)
            passage: Passage | None = None
            try:
                if self._control.concerns(_head_of(stream)):
                    passage = await self._enter(route, stream, line)
                async with aclosing(work(read(stream), Call(stream, line))) as answers:
                    async for answer in answers:
                        await stream.send(written(answer))
                line.status = _OK
                stream.end(grpc.StatusCode.OK, trailers=_trailers(line, passage, given=given))
            except BaseException as error:  # noqa: BLE001 - every way out has its status
                self._fail(stream, line, error)
            finally:
                if passage is not None:
                    passage.leave()
                self._telemetry.end(began, line)

        return run

    def _begin(self, route: str, stream: Stream) -> tuple[float, AccessLine, bool]:
        head = _head_of(stream)
        line = AccessLine(time.time(), head.request_id or self._ids.new(), "GRPC", route, 500, 0.0)
        work_for(Request(line, NOBODY))
        return self._telemetry.begin(line, head.caller), line, bool(head.request_id)

    async def _enter(self, route: str, stream: Stream, line: AccessLine) -> Passage | None:
        """The same way in as over HTTP."""
        passage = await self._control.enter(route, _head_of(stream), stream.host, seconds=stream.seconds)
        line.key = passage.key_name if passage is not None else ""
        return passage

    def _fail(self, stream: Stream, line: AccessLine, error: BaseException) -> None:
        if isinstance(error, asyncio.CancelledError):
            if stream.expired:
                line.status, line.error = DeadlineExceeded.error_code, DeadlineExceeded.kind
            else:
                line.status, line.client_gone = _CLIENT_CLOSED_REQUEST, True
            raise error
        if not isinstance(error, ServingError):
            logger.error("Request %s failed", line.request_id, exc_info=error)
            error = InternalError("Something went wrong on our side.")
        line.status = error.error_code
        line.error = error.kind
        trailers = ((HEADER, line.request_id), *error.headers().items())
        stream.end(grpc.StatusCode[error.grpc_status], error.message[:_LONGEST_MESSAGE], trailers)


def _head_of(stream: Stream) -> Head:
    """What a call's headers say to the gateway; read once for all calls that repeat them."""
    head: Head | None = stream.head.memo
    if head is None:
        head = stream.head.memo = read_head(stream.head.headers)
    return head


def _parser(message: type[Message]) -> Callable[[bytes], Message]:
    def parse(data: bytes) -> Message:
        try:
            return message.FromString(data)
        except DecodeError:
            raise InvalidInput(f"The request cannot be read as {message.DESCRIPTOR.full_name}.") from None

    return parse


async def _parsed(messages: AsyncIterator[bytes], parse: Callable[[bytes], Message]) -> AsyncIterator[Message]:
    async for data in messages:
        yield parse(data)


def _trailers(line: AccessLine, passage: Passage | None, *, given: bool) -> tuple[tuple[str, str], ...]:
    """The caller's own request id, and how its limits stand: an id of ours goes out with errors alone."""
    standing = headers_in(passage.told()) if passage is not None else ()
    if not standing and not given:
        return ()
    return ((HEADER, line.request_id), *((name.decode(), value.decode()) for name, value in standing))
