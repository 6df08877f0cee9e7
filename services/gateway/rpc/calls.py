"""What surrounds every gRPC call: its id, its telemetry, and the status that an error becomes."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import unquote

import grpc
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass

from services.errors import InternalError, InvalidInput, ServingError
from services.gateway.request_ids import HEADER, RequestIds
from services.telemetry.access_log import AccessLine

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
    from google.protobuf.message import Message

    from services.asgi import Header
    from services.gateway.control.passage import Passage
    from services.gateway.control.path import Control
    from services.telemetry.recorder import Telemetry

    Context = grpc.aio.ServicerContext[Any, Any]
    Work = Callable[[Any, "Call"], Any]

_OK = 200
_CLIENT_CLOSED_REQUEST = 499
_LONGEST_MESSAGE = 1000
"""It travels among the trailers, and clients refuse large ones."""
logger = logging.getLogger("tandem.gateway")


class Call:
    """One call, as the methods of a service see it."""

    __slots__ = ("_context", "line")

    def __init__(self, context: Context, line: AccessLine) -> None:
        self._context = context
        self.line = line

    @property
    def seconds(self) -> float | None:
        """How long the caller still waits; None when it set no deadline."""
        left: float | None = self._context.time_remaining()
        return left


class Calls:
    """Turns methods into gRPC handlers. In logs and metrics, a call's status is the HTTP status of its outcome."""

    def __init__(self, telemetry: Telemetry, control: Control) -> None:
        self._telemetry = telemetry
        self._control = control
        self._ids = RequestIds()

    def handler(self, service: ServiceDescriptor, methods: Mapping[str, Work]) -> grpc.GenericRpcHandler:
        """What serves `methods`, by name, of a service.

        A method takes the request (an iterator of them, where its requests stream) and a `Call`; it returns the response,
        or is an async generator of them where its responses stream. One that is not given answers UNIMPLEMENTED.
        """
        handlers = {name: self._method(service, service.methods_by_name[name], work) for name, work in methods.items()}
        return grpc.method_handlers_generic_handler(service.full_name, handlers)

    def _method(self, service: ServiceDescriptor, method: MethodDescriptor, work: Work) -> Any:
        route = f"/{service.full_name}/{method.name}"
        streams = (bool(method.client_streaming), bool(method.server_streaming))
        parse = _parser(GetMessageClass(method.input_type))
        read = (lambda messages: _parsed(messages, parse)) if streams[0] else parse
        make = {
            (False, False): grpc.unary_unary_rpc_method_handler,
            (False, True): grpc.unary_stream_rpc_method_handler,
            (True, True): grpc.stream_stream_rpc_method_handler,
        }[streams]
        surrounded: Any = self._streaming(route, read, work) if streams[1] else self._unary(route, read, work)
        # Requests arrive unread: gRPC itself answers UNKNOWN, with a traceback in the log, for what is no message.
        return make(surrounded, None, GetMessageClass(method.output_type).SerializeToString)

    def _unary(self, route: str, read: Callable[[Any], Any], work: Callable[[Any, Call], Awaitable[Message]]) -> Any:
        async def handle(request: Any, context: Context) -> Message:
            began, line, headers = self._begin(route, context)
            passage: Passage | None = None
            try:
                passage = await self._enter(route, context, headers)
                line.key = passage.key_name if passage is not None else ""
                answer = await work(read(request), Call(context, line))
                line.status = _OK
                _tell_standing(context, line, passage)
            except BaseException as error:  # noqa: BLE001 - every way out has its status
                await self._fail(context, line, error)
            finally:
                if passage is not None:
                    passage.leave()
                self._telemetry.end(began, line)
            return answer

        return handle

    def _streaming(
        self, route: str, read: Callable[[Any], Any], work: Callable[[Any, Call], AsyncIterator[Message]]
    ) -> Any:
        async def handle(request: Any, context: Context) -> AsyncIterator[Message]:
            began, line, headers = self._begin(route, context)
            passage: Passage | None = None
            try:
                passage = await self._enter(route, context, headers)
                line.key = passage.key_name if passage is not None else ""
                async for answer in work(read(request), Call(context, line)):
                    yield answer
                line.status = _OK
                _tell_standing(context, line, passage)
            except BaseException as error:  # noqa: BLE001 - every way out has its status
                await self._fail(context, line, error)
            finally:
                if passage is not None:
                    passage.leave()
                self._telemetry.end(began, line)

        return handle

    def _begin(self, route: str, context: Context) -> tuple[float, AccessLine, list[Header]]:
        metadata = context.invocation_metadata() or ()
        request_id, given = self._ids.of_metadata(metadata)
        if given:  # metadata costs a tenth of a call: an id of ours goes out with errors alone
            context.set_trailing_metadata(((HEADER, request_id),))
        line = AccessLine(time.time(), request_id, "GRPC", route, 500, 0.0)
        headers = [
            (name.encode(), value.encode("latin-1") if isinstance(value, str) else value) for name, value in metadata
        ]
        return self._telemetry.begin(line, headers), line, headers

    async def _enter(self, route: str, context: Context, headers: list[Header]) -> Passage | None:
        """The same way in as over HTTP, with metadata for headers."""
        if not self._control.concerns(headers):
            return None
        return await self._control.enter(route, headers, _host(context.peer()), seconds=context.time_remaining())

    async def _fail(self, context: Context, line: AccessLine, error: BaseException) -> NoReturn:
        if isinstance(error, (asyncio.CancelledError, GeneratorExit)):
            line.status = _CLIENT_CLOSED_REQUEST
            line.client_gone = True
            raise error
        if not isinstance(error, ServingError):
            logger.error("Request %s failed", line.request_id, exc_info=error)
            error = InternalError("Something went wrong on our side.")
        line.status = error.error_code
        line.error = error.kind
        trailer = ((HEADER, line.request_id), *error.headers().items())
        await context.abort(grpc.StatusCode[error.grpc_status], error.message[:_LONGEST_MESSAGE], trailer)


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


def _tell_standing(context: Context, line: AccessLine, passage: Passage | None) -> None:
    """Let the caller know how its limits stand."""
    headers = passage.headers() if passage is not None else ()
    if headers:
        told = ((name.decode(), value.decode()) for name, value in headers)
        context.set_trailing_metadata(((HEADER, line.request_id), *told))


def _host(peer: str) -> str | None:
    """The address in what gRPC calls a peer: `ipv4:10.0.0.7:50312`, `ipv6:%5B::1%5D:50312`."""
    family, _, rest = peer.partition(":")
    return unquote(rest).rpartition(":")[0].strip("[]") if family in {"ipv4", "ipv6"} else None
