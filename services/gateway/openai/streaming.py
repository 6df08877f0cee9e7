"""Server-sent events from vLLM to the client, as they come."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

import msgspec

from services.errors import DeadlineExceeded, Unavailable
from services.gateway.openai.errors import error_body, normalised

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from services.errors import ServingError
    from services.gateway.streamed import Answer, Taker

_END = b"\n\n"
"""Ends an event."""
_FAILURE = b'data: {"error"'
"""Begins the event with which vLLM ends a stream that failed; within a text, quotes are escaped."""
_EVENT = b"data: "


async def relayed(response: Answer, taker: Taker) -> AsyncGenerator[bytes, None]:
    """The bytes of `response` in the pieces they arrive in, less those that `taker` takes at once, which are in order with the rest.

    When the language model fails half way the stream ends with an error event, for the status is out already: in our
    words, for vLLM's are about its own log.
    """
    last = _END
    response.content.offer_to(lambda piece: _FAILURE not in piece and taker(piece))
    try:
        async for piece in response.content.iter_any():
            if _FAILURE in piece:
                yield _retold(piece)
                return
            yield piece
            last = piece
    except DeadlineExceeded as error:
        yield _error_event(last, error)
    except TimeoutError:
        yield _error_event(last, DeadlineExceeded("The language model went silent."))
    except OSError:
        yield _error_event(last, Unavailable("The language model broke off."))


class _Failed(msgspec.Struct):
    code: int = HTTPStatus.INTERNAL_SERVER_ERROR


class _Failure(msgspec.Struct):
    error: _Failed


def _retold(piece: bytes) -> bytes:
    """What came before a failure, and the failure in OpenAI's shape, as it would have been without a stream."""
    before, _, rest = piece.partition(_FAILURE)
    event = _FAILURE.removeprefix(_EVENT) + rest.partition(_END)[0]
    try:
        status = msgspec.json.decode(event, type=_Failure).error.code
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        status = HTTPStatus.INTERNAL_SERVER_ERROR
    return before + _EVENT + normalised(status, event, "")[1] + _END


def _error_event(last: bytes, error: ServingError) -> bytes:
    """An event of its own, also when `last`, the piece before it, ended within one."""
    return (b"" if last.endswith(_END) else _END) + b"data: " + error_body(error, "") + _END
